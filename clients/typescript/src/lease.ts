import type { Mneme } from "./client.js";
import type { CallOptions, LookupRequest, LookupResult } from "./types.js";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/**
 * Looks up, and waits while another caller makes the answer: as long as the lease that the first lookup finds, at most.
 * `leaseSeconds`: for how long this caller asks for the lease.
 */
export async function lookupOrWait(
  mneme: Mneme,
  request: LookupRequest,
  leaseSeconds: number,
  options?: CallOptions,
): Promise<LookupResult> {
  const asked = { ...request, lease: { seconds: leaseSeconds } };
  let result = await mneme.lookup(asked, options);
  let end: number | undefined;
  let pause = FIRST_PAUSE_MS;
  while (result.outcome === "miss" && result.lease?.state === "held") {
    end ??= Date.now() + result.lease.seconds * 1_000;
    // Callers that began to wait at one time should not ask at one time.
    const wait = pause * (0.5 + Math.random() / 2);
    if (Date.now() + wait > end) break;
    await slept(wait, options?.signal);
    pause = Math.min(LONGEST_PAUSE_MS, pause * 1.5);
    result = await mneme.lookup(asked, options);
  }
  return result;
}

/** The token of the lease, if this caller has it. */
export function leaseToken(result: LookupResult | null): string | undefined {
  return result?.outcome === "miss" ? result.lease?.token : undefined;
}

/** Ends after `ms`, or throws the signal's reason. */
function slept(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
