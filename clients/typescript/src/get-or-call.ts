import type { Mneme } from "./client.js";
import { type Completion, type ModelResult, readCompletion, refusal } from "./completion.js";
import { MnemeError } from "./errors.js";
import { tryLookup, tryPut, type WaitUntil } from "./fail-open.js";
import type { Reason } from "./report.js";
import type { CallOptions, LookupRequest, LookupResult, Stored } from "./types.js";

export interface GetOrCallOptions extends CallOptions {
  /** Seconds that the answer stays right. */
  ttl_seconds?: number | undefined;
  metadata?: Readonly<Record<string, unknown>> | undefined;
  /** The answer depends on who asks: it is neither looked up nor stored. */
  personal?: boolean | undefined;
  /** A further check, for example for the refusals of your model. */
  mayStore?: ((completion: Completion) => boolean | PromiseLike<boolean>) | undefined;
  /** Takes the put, so that the answer does not wait for it. `stored` is then null. */
  waitUntil?: WaitUntil | undefined;
}

/** Reads a result of another form than `ModelResult`. */
export interface ReadOption<T> {
  read: (result: T) => Completion;
}

/** An answer, and what happened. */
export interface Answer<T> {
  text: string;
  source: "cache" | "model";
  /** What the model returned; null if the cache answered. */
  result: T | null;
  /** Null if the lookup failed or was left out. */
  lookup: LookupResult | null;
  /** Null if nothing was stored, or not yet. */
  stored: Stored | null;
  /** Why the model's answer was not stored, or null. */
  not_stored: Reason | null;
  /** The errors of the cache. */
  errors: MnemeError[];
}

export async function getOrCall<T>(
  mneme: Mneme,
  question: LookupRequest,
  call: () => T | PromiseLike<T>,
  options: GetOrCallOptions & Partial<ReadOption<T>> = {},
): Promise<Answer<T>> {
  const errors: MnemeError[] = [];
  let lookup: LookupResult | null = null;
  if (options.personal) {
    mneme.report({ type: "skipped", reason: "skipped" });
  } else {
    const found = await tryLookup(mneme, question, options);
    if (found instanceof MnemeError) errors.push(found);
    else lookup = found;
  }
  const rest = { lookup, stored: null, not_stored: null, errors };
  if (lookup?.outcome === "hit") return { text: lookup.response, source: "cache", result: null, ...rest };

  const result = await call();
  const completion = options.read === undefined ? readCompletion(result as ModelResult) : options.read(result);
  const answer: Answer<T> = { text: completion.text, source: "model", result, ...rest };
  if (options.personal) return { ...answer, not_stored: "skipped" };
  answer.not_stored = await refusal(completion, options.mayStore);
  if (answer.not_stored !== null) {
    mneme.report({ type: "not_stored", reason: answer.not_stored });
    return answer;
  }
  const { bypass: _bypass, threshold: _threshold, guard: _guard, ...asked } = question;
  const entry = {
    ...asked,
    response: completion.text,
    metadata: completion.metadata ?? options.metadata,
    ttl_seconds: completion.ttl_seconds ?? options.ttl_seconds,
    confidence_score: completion.confidence_score,
  };
  const put = tryPut(mneme, () => entry, { timeoutMs: options.timeoutMs }).then((stored) => {
    if (stored instanceof MnemeError) errors.push(stored);
    else answer.stored = stored;
  });
  if (options.waitUntil === undefined) await put;
  else options.waitUntil(put);
  return answer;
}
