import { deserializeStoredGeneration, serializeGeneration } from "@langchain/core/caches";
import type { StoredGeneration } from "@langchain/core/messages";
import type { Generation } from "@langchain/core/outputs";
import { isObject } from "../errors.js";
import type { Reason } from "../report.js";
import { isComplete, refusedText } from "../storable.js";

const FORMAT = "langchain";
const FINISH_FIELDS = ["finish_reason", "finishReason", "stop_reason", "stopReason"];

export function writeGenerations(generations: readonly Generation[]): string {
  const stored = generations.map((generation) => ({
    ...serializeGeneration(generation),
    generationInfo: generation.generationInfo,
  }));
  return JSON.stringify({ format: FORMAT, generations: stored });
}

/**
 * The generations of a stored response, or undefined for another form. Messages have no id: with the id of the first
 * call they would replace the first answer in a state that merges messages by id.
 */
export function readGenerations(response: string): Generation[] | undefined {
  try {
    const stored = JSON.parse(response) as unknown;
    if (!isObject(stored) || stored.format !== FORMAT || !Array.isArray(stored.generations)) return undefined;
    return (stored.generations as (StoredGeneration & Pick<Generation, "generationInfo">)[]).map(read);
  } catch {
    // The form of another version.
    return undefined;
  }
}

function read({ generationInfo, ...stored }: StoredGeneration & Pick<Generation, "generationInfo">): Generation {
  if (stored.message !== undefined) delete stored.message.data.id;
  const generation: Generation = deserializeStoredGeneration(stored);
  if (generationInfo !== undefined) generation.generationInfo = generationInfo;
  return generation;
}

export function hasToolCalls(generations: readonly Generation[]): boolean {
  return generations.some((generation) => {
    const { message } = generation as {
      message?: { tool_calls?: unknown[]; additional_kwargs?: Record<string, unknown> };
    };
    const calls = message?.tool_calls?.length ?? 0;
    return calls > 0 || message?.additional_kwargs?.function_call !== undefined;
  });
}

/** Why generations must not be stored, or undefined. */
export function refusedGenerations(generations: readonly Generation[], toolCalls: boolean): Reason | undefined {
  if (generations.length === 0) return "blank";
  for (const generation of generations) {
    const calls = hasToolCalls([generation]);
    if (calls && !toolCalls) return "tool_call";
    if (calls) continue;
    const reason = finishReason(generation);
    // Some models give no reason. Then nothing is known against the answer.
    if (reason !== undefined && !isComplete(reason)) return "unfinished";
    const refused = refusedText(generation.text);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

function finishReason(generation: Generation): string | undefined {
  const { message } = generation as { message?: { response_metadata?: Record<string, unknown> } };
  for (const facts of [generation.generationInfo, message?.response_metadata])
    for (const field of FINISH_FIELDS) {
      const value: unknown = facts?.[field];
      if (typeof value === "string") return value;
    }
  return undefined;
}
