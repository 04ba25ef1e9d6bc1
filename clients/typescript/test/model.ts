import { createRequire } from "node:module";
import { wrapLanguageModel } from "ai";
import type { Mneme } from "mneme-lambda";
import { type MiddlewareOptions, mnemeMiddleware } from "mneme-lambda/ai";

const { version } = createRequire(import.meta.url)("ai/package.json") as { version: string };
// Each version of `ai` has its own form of models. The stand-in speaks it natively.
const specificationVersion = version.startsWith("6.") ? "v3" : "v4";

export const TIMESTAMP = new Date("2026-01-02T03:04:05.678Z");
export const USAGE = {
  inputTokens: { total: 3, noCache: 3, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 2, text: 2, reasoning: undefined },
};

export interface Script {
  content?: object[];
  finish?: string;
  /** Parts in place of those that `content` makes. If one throws, the stream breaks. */
  parts?: Iterable<object>;
  modelId?: string;
}

/** A stand-in model with its number of calls. It streams each text in two deltas. */
export function model(mneme: Mneme, script: Script | ((call: number) => Script), options: MiddlewareOptions = {}) {
  const calls: { kind: string; params: { headers?: object } }[] = [];
  const next = (kind: string, params: { headers?: object }) => {
    calls.push({ kind, params });
    const {
      content = [{ type: "text", text: `Answer ${calls.length}.` }],
      finish = "stop",
      parts,
    } = typeof script === "function" ? script(calls.length) : script;
    const finishReason = { unified: finish, raw: finish };
    const response = { id: `response-${calls.length}`, modelId: "small-2026", timestamp: TIMESTAMP };
    return {
      content,
      finishReason,
      usage: USAGE,
      warnings: [],
      response,
      parts,
      providerMetadata: { stand: { in: 1 } },
    };
  };
  const standIn = {
    specificationVersion,
    provider: "stand-in",
    modelId: typeof script === "function" ? "small" : (script.modelId ?? "small"),
    supportedUrls: {},
    async doGenerate(params: object) {
      const { parts: _parts, response, ...result } = next("generate", params);
      return {
        ...result,
        request: { body: "secret" },
        response: { ...response, headers: { "set-cookie": "secret" }, body: "secret" },
      };
    },
    async doStream(params: object) {
      const { content, finishReason, usage, response, parts, providerMetadata } = next("stream", params);
      const blocks = (content as { type: string; text?: string }[]).flatMap((part, index) => {
        if (part.type !== "text" && part.type !== "reasoning") return [part];
        const [text = "", id] = [part.text, String(index)];
        return [
          { type: `${part.type}-start`, id },
          { type: `${part.type}-delta`, id, delta: text.slice(0, 3) },
          { type: `${part.type}-delta`, id, delta: text.slice(3) },
          { type: `${part.type}-end`, id },
        ];
      });
      const all = parts ?? [
        { type: "stream-start", warnings: [] },
        { type: "response-metadata", ...response },
        ...blocks,
        { type: "finish", finishReason, usage, providerMetadata },
      ];
      const rest = all[Symbol.iterator]();
      return {
        stream: new ReadableStream({
          pull(controller) {
            const { done, value } = rest.next();
            if (done) controller.close();
            else controller.enqueue(value);
          },
        }),
      };
    },
  };
  type Wrapped = Parameters<typeof wrapLanguageModel>[0]["model"];
  const wrapped = wrapLanguageModel({
    model: standIn as unknown as Wrapped,
    middleware: mnemeMiddleware(mneme, options),
  });
  return { model: wrapped, calls };
}
