import { ConnectionLost, GatewayError, Internal, type MnemeError, Throttled, Unreachable } from "./errors.js";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;
/** The largest number of retries that a client may owe at once. */
const BUDGET = 20;
/** What one success adds to the budget: at most a tenth of the requests are retries for long. */
const EARNED = 0.1;

/**
 * Limits the retries of a client, so that many callers do not multiply the load of a cache that is failing.
 * A retry takes one from the budget; a success adds a tenth.
 */
export class RetryBudget {
  #left = BUDGET;

  /** Takes a retry from the budget. Returns false if nothing is left. */
  take(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  earn(): void {
    this.#left = Math.min(BUDGET, this.#left + EARNED);
  }
}

/**
 * The pause before attempt `attempt + 1` (the first attempt is 0) in milliseconds, or undefined if the request must not
 * be sent again. `idempotent`: sending the request twice has the same effect as once.
 */
export function pauseMs(error: MnemeError, attempt: number, idempotent: boolean): number | undefined {
  // Who names a time asks for the same request again.
  if (error.retryAfterSeconds !== undefined) return error.retryAfterSeconds * 1_000;
  const notDone = error instanceof Throttled || error instanceof Unreachable;
  const mayBeDone =
    error instanceof ConnectionLost ||
    error instanceof Internal ||
    (error instanceof GatewayError && (error.status ?? 0) >= 500);
  if (!notDone && !(mayBeDone && idempotent)) return undefined;
  return Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
}
