import type { LanguageModelMiddleware } from "ai";
import type { Mneme } from "../client.js";
import { MnemeError } from "../errors.js";
import { type Embed, tryEmbed, tryFind, tryPrepare, tryPut, tryRelease, type WaitUntil } from "../fail-open.js";
import { leaseToken, lookupOrWait } from "../lease.js";
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
  /**
   * Of several calls that miss one question at once, one calls the model, and the others wait for its answer: for so
   * many seconds at most, 1 to 900. Give somewhat more than the model takes. Without it, nobody waits.
   */
  lease_seconds?: number | undefined;
}

/** The call goes to the model, and its result is not stored. */
const LEFT_OUT = { hit: undefined, store: async () => {}, giveUp: async () => {} };

/**
 * A middleware for `wrapLanguageModel` of the Vercel AI SDK. One stored result answers generated and streamed calls.
 * Tool calls, and answers that did not end with `stop`, are not stored. An error of the cache is reported, and the
 * model is called.
 */
export function mnemeMiddleware(mneme: Mneme, options: MiddlewareOptions = {}): LanguageModelMiddleware {
  const { timeoutMs, lease_seconds = 0, waitUntil } = options;

  /** Returns the stored result, or what stores a result of the model, and what is called if there is none. */
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
    const call = { timeoutMs, signal: params.abortSignal };
    const look = () =>
      lease_seconds === 0 ? mneme.lookup(whole, call) : lookupOrWait(mneme, whole, lease_seconds, call);
    const found = await tryFind(mneme, look, call, (stored) => {
      hit = readResult(stored);
      return hit !== undefined;
    });
    const token = found instanceof MnemeError ? undefined : leaseToken(found);
    const release = async () => {
      if (token !== undefined) await tryRelease(mneme, whole, token, { timeoutMs });
    };
    const finish = async (work: Promise<void>) => (waitUntil === undefined ? work : waitUntil(work));
    const store = (result: GenerateResult | undefined) => {
      const put = keep({ ...whole, lease_token: token }, settings, result, params);
      return finish(put.then((kept) => (kept ? undefined : release())));
    };
    const giveUp = () => finish(release());
    return { hit, store, giveUp };
  }

  /** Stores a result, unless it must not be stored. Returns whether it was to be stored. */
  async function keep(
    question: Question & { lease_token: string | undefined },
    settings: Asked["settings"],
    result: GenerateResult | undefined,
    params: Params,
  ): Promise<boolean> {
    const reason = await refusal(result, params, options);
    if (result === undefined || reason !== undefined) {
      mneme.report({ type: "not_stored", reason: reason ?? "unfinished" });
      return false;
    }
    const ttl_seconds = settings.ttl_seconds ?? options.ttl_seconds;
    await tryPut(mneme, () => ({ ...question, response: writeResult(result), ttl_seconds }), { timeoutMs });
    return true;
  }

  return {
    // Version 7 of `ai` takes a middleware of version 6.
    specificationVersion: "v3",

    async wrapGenerate({ doGenerate, params, model }) {
      const { hit, store, giveUp } = await find(params, model);
      if (hit !== undefined) return hit;
      const result = await orElse(giveUp, doGenerate);
      await store(result);
      return result;
    },

    async wrapStream({ doStream, params, model }) {
      const { hit, store, giveUp } = await find(params, model);
      if (hit !== undefined) return { stream: replay(streamParts(hit)) };
      const { stream, ...rest } = await orElse(giveUp, doStream);
      const collector = new Collector();
      const reader = stream.getReader();
      const watched = new ReadableStream<StreamPart>(
        {
          async pull(controller) {
            const { done, value } = await orElse(giveUp, () => reader.read());
            if (done) {
              await store(collector.result());
              controller.close();
            } else {
              collector.add(value);
              controller.enqueue(value);
            }
          },
          // The reader left: only whole answers are stored.
          async cancel(reason) {
            await Promise.all([reader.cancel(reason), giveUp()]);
          },
        },
        // Nothing is read before it is asked for.
        { highWaterMark: 0 },
      );
      return { stream: watched, ...rest };
    },
  };
}

/** What `work` returns. If it fails, `giveUp` is called before its error is thrown. */
async function orElse<T>(giveUp: () => Promise<void>, work: () => PromiseLike<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await giveUp();
    throw error;
  }
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
