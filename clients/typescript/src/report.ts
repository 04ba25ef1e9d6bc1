import type { MnemeError } from "./errors.js";
import type { Hit, Miss, Stored } from "./types.js";

/** Why an answer was not stored, or a request did not use the cache. */
export type Reason =
  /** The model did not end its answer: its finish reason is not one of a complete answer. */
  | "unfinished"
  /** The answer has no text. */
  | "blank"
  /** The answer is the text of a failure, which the cache would not serve. */
  | "failure"
  /** The answer calls a tool. */
  | "tool_call"
  /** A JSON answer was asked for, and the text is not JSON. */
  | "not_json"
  /** The model refused to answer, or `mayStore` refused the answer. */
  | "refused"
  /** The caller asked to leave the cache out. */
  | "skipped"
  /** The prompt has media that its text does not identify. */
  | "media";

/** What `getOrCall` and the adapters did. */
export type MnemeEvent =
  | { type: "hit"; hit: Hit }
  /** The stored answer has another form, or calls a tool and was found by similarity. The model is called. */
  | { type: "unusable"; hit: Hit }
  | { type: "miss"; miss: Miss }
  /** The lookup failed, and the model is called. */
  | { type: "lookup_failed"; error: MnemeError }
  /** The cache was left out. */
  | { type: "skipped"; reason: Reason }
  | { type: "stored"; stored: Stored }
  /** The model's answer must not be stored. */
  | { type: "not_stored"; reason: Reason }
  /** The put failed, and the answer is returned all the same. */
  | { type: "put_failed"; error: MnemeError };

export interface ReporterOptions {
  /** Is called for each event of `getOrCall` and of the adapters. What it throws is ignored. */
  onEvent?: ((event: MnemeEvent) => void) | undefined;
  /** Takes a line when the cache failed, at most once a minute for each kind. Without it, `console.warn`. */
  log?: ((line: string) => void) | undefined;
}

const LOG_EVERY_MS = 60_000;

export class Reporter {
  readonly counts: Record<MnemeEvent["type"], number> = {
    hit: 0,
    unusable: 0,
    miss: 0,
    lookup_failed: 0,
    skipped: 0,
    stored: 0,
    not_stored: 0,
    put_failed: 0,
  };
  readonly #options: ReporterOptions;
  readonly #logged = new Map<string, number>();

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  report(event: MnemeEvent): void {
    this.counts[event.type] += 1;
    try {
      if ("error" in event) this.#log(event.type, event.error);
      this.#options.onEvent?.(event);
    } catch {
      // The application's answer does not depend on its logging.
    }
  }

  #log(type: "lookup_failed" | "put_failed", error: MnemeError): void {
    const now = Date.now();
    if (now - (this.#logged.get(type) ?? -LOG_EVERY_MS) < LOG_EVERY_MS) return;
    this.#logged.set(type, now);
    const what = type === "put_failed" ? "put failed, the answer is not stored" : "lookup failed, the model is called";
    const line = `mneme: ${what} (${this.counts[type]} so far): ${error.name}: ${error.message}`;
    (this.#options.log ?? console.warn)(line);
  }
}
