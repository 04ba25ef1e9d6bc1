import type { Mneme } from "./client.js";
import { EmbedFailed, InvalidRequest, MnemeError } from "./errors.js";
import type {
  CallOptions,
  Embedding,
  EntryRequest,
  Hit,
  LookupRequest,
  LookupResult,
  Question,
  Stored,
} from "./types.js";

/** Takes a promise that may end after the reply, as `ctx.waitUntil` of edge runtimes and `waitUntil` of Vercel do. */
export type WaitUntil = (promise: Promise<unknown>) => void;
/** Makes the embedding of a question's text, if the cache has no embedder of its own. */
export type Embed = (text: string) => Embedding | PromiseLike<Embedding>;

/**
 * Looks up. An error of the cache is reported and returned. Only the caller's signal throws.
 *
 * `usable`: whether the caller can serve this hit. Without it, every hit is usable.
 */
export async function tryLookup(
  mneme: Mneme,
  request: LookupRequest,
  options?: CallOptions,
  usable: (hit: Hit) => boolean = () => true,
): Promise<LookupResult | MnemeError> {
  return tryFind(mneme, () => mneme.lookup(request, options), options, usable);
}

/** The same for a lookup of one's own: `find`. Its result is reported once. */
export async function tryFind(
  mneme: Mneme,
  find: () => Promise<LookupResult>,
  options?: CallOptions,
  usable: (hit: Hit) => boolean = () => true,
): Promise<LookupResult | MnemeError> {
  try {
    const result = await find();
    if (result.outcome === "miss") mneme.report({ type: "miss", miss: result });
    else mneme.report({ type: usable(result) ? "hit" : "unusable", hit: result });
    return result;
  } catch (thrown) {
    options?.signal?.throwIfAborted();
    const error = asMnemeError(thrown);
    mneme.report({ type: "lookup_failed", error });
    return error;
  }
}

/** Stores what `entry` returns. An error of the cache, or of `entry`, is reported and returned. */
export async function tryPut(
  mneme: Mneme,
  entry: () => EntryRequest | PromiseLike<EntryRequest>,
  options?: CallOptions,
): Promise<Stored | MnemeError> {
  try {
    const stored = await mneme.put(await entry(), options);
    mneme.report({ type: "stored", stored });
    return stored;
  } catch (thrown) {
    const error = asMnemeError(thrown);
    mneme.report({ type: "put_failed", error });
    return error;
  }
}

/** Releases a lease. An error of the cache is reported: the lease then ends by itself. */
export async function tryRelease(
  mneme: Mneme,
  question: Question,
  token: string,
  options?: CallOptions,
): Promise<void> {
  try {
    await mneme.release(question, token, { timeoutMs: options?.timeoutMs });
  } catch (thrown) {
    mneme.report({ type: "put_failed", error: asMnemeError(thrown) });
  }
}

/** The embedding of a text, or undefined without an `embed`. A failure is reported; the exact layer goes on. */
export async function tryEmbed(
  mneme: Mneme,
  embed: Embed | undefined,
  text: string | undefined,
): Promise<Embedding | undefined> {
  if (embed === undefined || text === undefined) return undefined;
  try {
    return await embed(text);
  } catch (cause) {
    const error = new EmbedFailed({
      detail: `\`embed\` failed: ${cause instanceof Error ? cause.message : String(cause)}`,
      remediation: "look at `cause`: it is what `embed` threw",
      cause,
    });
    mneme.report({ type: "lookup_failed", error });
    return undefined;
  }
}

/** Makes a request. A failure is reported, and the result is undefined: the cache is then left out. */
export async function tryPrepare<T>(mneme: Mneme, make: () => Promise<T>): Promise<T | undefined> {
  try {
    return await make();
  } catch (thrown) {
    mneme.report({ type: "lookup_failed", error: asMnemeError(thrown) });
    return undefined;
  }
}

function asMnemeError(thrown: unknown): MnemeError {
  if (thrown instanceof MnemeError) return thrown;
  return new InvalidRequest({
    detail: `the request could not be made: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    remediation: "look at `cause`",
    cause: thrown,
  });
}
