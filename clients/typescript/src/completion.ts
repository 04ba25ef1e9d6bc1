import { isObject } from "./errors.js";
import type { Reason } from "./report.js";
import { isComplete, refusedText } from "./storable.js";

/** The text of a model's answer, and whether it may be stored. */
export interface Completion {
  text: string;
  /** Why the answer must not be stored. A blank text and the text of a failure are never stored. */
  refused?: Reason | undefined;
  metadata?: Readonly<Record<string, unknown>> | undefined;
  ttl_seconds?: number | undefined;
  confidence_score?: number | undefined;
}

/**
 * What `readCompletion` reads: a text, a `Completion`, or what these return: OpenAI's Chat Completions and Responses,
 * Anthropic's Messages, Bedrock's Converse, and `generateText` of the AI SDK.
 */
export type ModelResult =
  | string
  | Completion
  | { choices: readonly { message: object; finish_reason?: string | null }[] }
  | { object: "response"; output: readonly object[]; status?: string | undefined }
  | { content: readonly object[]; stop_reason: string | null }
  | { stopReason: string | undefined; output: { message?: object | undefined } | undefined }
  | { text: string; finishReason: string; toolCalls: readonly unknown[] };

/** Reads the text of a model's result, and whether the model ended it by itself without calling a tool. */
export function readCompletion(result: ModelResult): Completion {
  if (typeof result === "string") return { text: result };
  const fields = result as unknown;
  if (isObject(fields)) {
    // A result of the AI SDK has the `content` of Anthropic as well.
    if (typeof fields.text === "string" && "finishReason" in fields)
      return read(fields.text, fields.finishReason, some(fields.toolCalls));
    if (Array.isArray(fields.choices)) return chat(fields.choices);
    if (fields.object === "response") return response(fields);
    if ("stop_reason" in fields) return blocks(fields.content, fields.stop_reason);
    if ("stopReason" in fields) return blocks(at(fields, "output", "message", "content"), fields.stopReason);
    if (typeof fields.text === "string") return fields as unknown as Completion;
  }
  throw new TypeError("the model's result has an unknown form. Remediation: give `read`, which returns its text");
}

function chat(choices: unknown[]): Completion {
  const message = at(choices[0], "message");
  const content = at(message, "content");
  const text = typeof content === "string" ? content : "";
  if (choices.length !== 1) return { text, refused: "unfinished" };
  if (at(message, "refusal") != null) return { text, refused: "refused" };
  const called = some(at(message, "tool_calls")) || at(message, "function_call") != null;
  return read(text, at(choices[0], "finish_reason"), called);
}

function response({ output, status }: Record<string, unknown>): Completion {
  const items = list(output);
  const parts = items.flatMap((item) => list(at(item, "content")));
  const text = texts(parts, "output_text");
  if (parts.some((part) => at(part, "type") === "refusal")) return { text, refused: "refused" };
  return read(
    text,
    status,
    items.some((item) => !["message", "reasoning"].includes(String(at(item, "type")))),
  );
}

/** The blocks of Anthropic have a `type`, those of Converse are named by their field. */
function blocks(content: unknown, stopReason: unknown): Completion {
  const parts = list(content);
  const called = parts.some((part) => /tool_?use/i.test(String(at(part, "type") ?? Object.keys(part as object)[0])));
  return read(texts(parts, "text"), stopReason, called);
}

function read(text: string, finishReason: unknown, called: boolean): Completion {
  if (called) return { text, refused: "tool_call" };
  return typeof finishReason === "string" && isComplete(finishReason) ? { text } : { text, refused: "unfinished" };
}

function texts(parts: unknown[], type: string): string {
  return parts
    .flatMap((part) => ((at(part, "type") ?? type) === type ? [String(at(part, "text") ?? "")] : []))
    .join("");
}

function at(value: unknown, ...names: string[]): unknown {
  return names.reduce((inner, name) => (isObject(inner) ? inner[name] : undefined), value);
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function some(value: unknown): boolean {
  return list(value).length > 0;
}

/** Why a completion must not be stored, or null. A check that fails refuses: it must not lose the answer. */
export async function refusal(
  completion: Completion,
  mayStore: ((completion: Completion) => boolean | PromiseLike<boolean>) | undefined,
): Promise<Reason | null> {
  const reason = completion.refused ?? refusedText(completion.text);
  if (reason !== undefined) return reason;
  try {
    return mayStore === undefined || (await mayStore(completion)) ? null : "refused";
  } catch {
    return "refused";
  }
}
