import { toBase64 } from "../base64.js";
import { isObject } from "../errors.js";
import type { Reason } from "../report.js";
import { refusedText } from "../storable.js";
import type { Hit } from "../types.js";
import type { Content, GenerateResult, Params, StreamPart } from "./types.js";

const FORMAT = "ai-sdk";
const TOOL_PARTS = new Set(["tool-call", "tool-result", "tool-approval-request"]);

/** The text that is stored for a result. Request, headers and body are left out: they may hold secrets. */
export function writeResult(result: GenerateResult): string {
  const { request: _request, response, ...rest } = result;
  const { headers: _headers, body: _body, ...metadata } = response ?? {};
  return JSON.stringify({ format: FORMAT, result: { ...rest, response: metadata } }, (_key, value: unknown) =>
    value instanceof Uint8Array ? toBase64(value) : value,
  );
}

/** The result that a hit holds, with a note on the hit in `providerMetadata.mneme`; or undefined for another form. */
export function readResult(hit: Hit): GenerateResult | undefined {
  const stored = parsed(hit.response);
  if (!isObject(stored) || stored.format !== FORMAT || !isObject(stored.result)) return undefined;
  const result = stored.result as unknown as GenerateResult;
  if (!Array.isArray(result.content) || !isObject(result.finishReason)) return undefined;
  const { timestamp, ...response } = (result.response ?? {}) as Record<string, unknown>;
  const { layer, id, similarity, confidence, age_seconds } = hit;
  return {
    ...result,
    response: { ...response, ...(typeof timestamp === "string" ? { timestamp: new Date(timestamp) } : {}) },
    providerMetadata: { ...result.providerMetadata, mneme: { layer, id, similarity, confidence, age_seconds } },
  };
}

/** Why a result must not be stored, or undefined. */
export function refusedResult(result: GenerateResult, params: Params): Reason | undefined {
  const { unified } = result.finishReason;
  if (unified === "tool-calls" || result.content.some(({ type }) => TOOL_PARTS.has(type))) return "tool_call";
  if (unified !== "stop") return "unfinished";
  const structured = "structuredOutputText" in result ? result.structuredOutputText : undefined;
  const text = structured ?? textOf(result.content);
  const refused = refusedText(text);
  if (refused !== undefined && !(refused === "blank" && result.content.some(({ type }) => type === "file")))
    return refused;
  return params.responseFormat?.type === "json" && parsed(text) === undefined ? "not_json" : undefined;
}

/** The parts that stream a result, as `simulateStreamingMiddleware` of the AI SDK makes them. */
export function streamParts(result: GenerateResult): StreamPart[] {
  const { content, warnings, response, finishReason, usage, providerMetadata } = result;
  const blocks = content.flatMap((part, index): StreamPart[] => {
    if (part.type !== "text" && part.type !== "reasoning") return [part];
    const id = String(index);
    const metadata = part.providerMetadata === undefined ? {} : { providerMetadata: part.providerMetadata };
    const citations = "citations" in part && part.citations !== undefined ? { citations: part.citations } : {};
    return [
      { type: `${part.type}-start`, id, ...metadata },
      { type: `${part.type}-delta`, id, delta: part.text },
      { type: `${part.type}-end`, id, ...metadata, ...citations },
    ];
  });
  return [
    { type: "stream-start", warnings },
    { type: "response-metadata", ...response },
    ...blocks,
    { type: "finish", finishReason, usage, ...(providerMetadata === undefined ? {} : { providerMetadata }) },
  ];
}

function textOf(content: readonly Content[]): string {
  return content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
