import type { LanguageModelMiddleware } from "ai";
import type { Mneme } from "../client.js";
import { type Embed, tryEmbed, tryLookup, tryPrepare, tryPut, type WaitUntil } from "../fail-open.js";
import type { Reason } from "../report.js";
import type { Question } from "../types.js";
import { Collector } from "./collect.js";
import { type Asked, asked, type ContextOptions } from "./question.js";
import { readResult, refusedResult, streamParts, writeResult } from "./result.js";
import type { GenerateResult, Model, Params, StreamPart } from "./types.js";

export type { CallSettings } from "./question.js";
export type { GenerateResult, Params } from "./types.js";

export interface MiddlewareOptions extends ContextOptions {
  /** Without it, the client's. */
  namespace?: string | undefined;
  /** Seconds that answers stay right. `providerOptions.mneme.ttl_seconds` takes precedence. */
  ttl_seconds?: number | undefined;
  /** Makes embeddings, if the cache has no embedder of its own. */
  embed?: Embed | undefined;
  /** A further check, for example for the refusals of your model or for the schema of a structured output. */
  mayStore?: ((result: GenerateResult, params: Params) => boolean | PromiseLike<boolean>) | undefined;
  /** Takes the put, so that the end of the answer does not wait for it. */
  waitUntil?: WaitUntil | undefined;
  /** The time for a lookup, and for a put, in milliseconds. Without it, the client's. */
  timeoutMs?: number | undefined;
}

/** The call goes to the model, and its result is not stored. */
const LEFT_OUT = { hit: undefined, store: async () => {} };

/**
 * A middleware for `wrapLanguageModel` of the Vercel AI SDK. One stored result answers generated and streamed calls.
 * Tool calls, and answers that did not end with `stop`, are not stored. An error of the cache is reported, and the
 * model is called.
 */
export function mnemeMiddleware(mneme: Mneme, options: MiddlewareOptions = {}): LanguageModelMiddleware {
  const { timeoutMs } = options;

  /** Returns the stored result, or what stores a result of the model. */
  async function find(params: Params, model: Model) {
    const ask = await tryPrepare(mneme, () => asked(params, model, options));
    if (ask === undefined) return LEFT_OUT;
    const { question, settings, text } = ask;
    if (settings.skip) {
      mneme.report({ type: "skipped", reason: "skipped" });
      return LEFT_OUT;
    }
    const embedding = await tryEmbed(mneme, options.embed, text);
    const whole = { ...question, embedding, namespace: settings.namespace ?? options.namespace };
    let hit: GenerateResult | undefined;
    await tryLookup(mneme, whole, { timeoutMs, signal: params.abortSignal }, (found) => {
      hit = readResult(found);
      return hit !== undefined;
    });
    const store = async (result: GenerateResult | undefined) => {
      const put = keep(whole, settings, result, params);
      if (options.waitUntil === undefined) await put;
      else options.waitUntil(put);
    };
    return { hit, store };
  }

  async function keep(
    question: Question,
    settings: Asked["settings"],
    result: GenerateResult | undefined,
    params: Params,
  ) {
    const reason = await refusal(result, params, options);
    if (result === undefined || reason !== undefined) {
      mneme.report({ type: "not_stored", reason: reason ?? "unfinished" });
      return;
    }
    const ttl_seconds = settings.ttl_seconds ?? options.ttl_seconds;
    await tryPut(mneme, () => ({ ...question, response: writeResult(result), ttl_seconds }), { timeoutMs });
  }

  return {
    // Version 7 of `ai` takes a middleware of version 6.
    specificationVersion: "v3",

    async wrapGenerate({ doGenerate, params, model }) {
      const { hit, store } = await find(params, model);
      if (hit !== undefined) return hit;
      const result = await doGenerate();
      await store(result);
      return result;
    },

    async wrapStream({ doStream, params, model }) {
      const { hit, store } = await find(params, model);
      if (hit !== undefined) return { stream: replay(streamParts(hit)) };
      const { stream, ...rest } = await doStream();
      const collector = new Collector();
      // `flush` is not reached if the stream fails or its reader leaves: only whole answers are stored.
      const tee = new TransformStream<StreamPart, StreamPart>({
        transform(part, controller) {
          collector.add(part);
          controller.enqueue(part);
        },
        flush: () => store(collector.result()),
      });
      return { stream: stream.pipeThrough(tee), ...rest };
    },
  };
}

async function refusal(
  result: GenerateResult | undefined,
  params: Params,
  { mayStore }: MiddlewareOptions,
): Promise<Reason | undefined> {
  if (result === undefined) return "unfinished";
  const reason = refusedResult(result, params);
  if (reason !== undefined || mayStore === undefined) return reason;
  try {
    return (await mayStore(result, params)) ? undefined : "refused";
  } catch {
    // The model's answer is there. A check that fails must not lose it.
    return "refused";
  }
}

function replay(parts: readonly StreamPart[]): ReadableStream<StreamPart> {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      controller.close();
    },
  });
}
