import type { Mneme } from "./client.js";
import { type Completion, type ModelResult, readCompletion, refusal } from "./completion.js";
import { MnemeError } from "./errors.js";
import { tryFind, tryPut, tryRelease, type WaitUntil } from "./fail-open.js";
import { leaseToken, lookupOrWait } from "./lease.js";
import type { Reason } from "./report.js";
import type { CallOptions, LookupRequest, LookupResult, Stored } from "./types.js";

export interface GetOrCallOptions extends CallOptions {
  /** Seconds that the answer stays right. */
  ttl_seconds?: number | undefined;
  metadata?: Readonly<Record<string, unknown>> | undefined;
  /** The answer depends on who asks: it is neither looked up nor stored. */
  personal?: boolean | undefined;
  /**
   * Of several callers who miss one question at once, one calls the model, and the others wait for its answer: for so
   * many seconds at most, 1 to 900. Give somewhat more than the model takes. Without it, 30. 0: nobody waits.
   */
  lease_seconds?: number | undefined;
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

/** As long as most models take for an answer. */
const LEASE_SECONDS = 30;

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
    const seconds = question.bypass ? 0 : (options.lease_seconds ?? LEASE_SECONDS);
    const find = () =>
      seconds === 0 ? mneme.lookup(question, options) : lookupOrWait(mneme, question, seconds, options);
    const found = await tryFind(mneme, find, options);
    if (found instanceof MnemeError) errors.push(found);
    else lookup = found;
  }
  const rest = { lookup, stored: null, not_stored: null, errors };
  if (lookup?.outcome === "hit") return { text: lookup.response, source: "cache", result: null, ...rest };

  const token = leaseToken(lookup);
  const release = () => (token === undefined ? undefined : tryRelease(mneme, question, token, options));
  let result: T;
  let completion: Completion;
  try {
    result = await call();
    completion = options.read === undefined ? readCompletion(result as ModelResult) : options.read(result);
  } catch (error) {
    await release();
    throw error;
  }
  const answer: Answer<T> = { text: completion.text, source: "model", result, ...rest };
  if (options.personal) return { ...answer, not_stored: "skipped" };
  answer.not_stored = await refusal(completion, options.mayStore);
  if (answer.not_stored !== null) {
    mneme.report({ type: "not_stored", reason: answer.not_stored });
    await release();
    return answer;
  }
  const { bypass: _bypass, threshold: _threshold, guard: _guard, lease: _lease, ...asked } = question;
  const entry = {
    ...asked,
    response: completion.text,
    metadata: completion.metadata ?? options.metadata,
    ttl_seconds: completion.ttl_seconds ?? options.ttl_seconds,
    confidence_score: completion.confidence_score,
    lease_token: token,
  };
  const put = tryPut(mneme, () => entry, { timeoutMs: options.timeoutMs }).then((stored) => {
    if (stored instanceof MnemeError) errors.push(stored);
    else answer.stored = stored;
  });
  if (options.waitUntil === undefined) await put;
  else options.waitUntil(put);
  return answer;
}
