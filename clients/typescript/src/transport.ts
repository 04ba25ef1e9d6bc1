import type { Authorizer } from "./auth.js";
import {
  ConnectionLost,
  CredentialsRefused,
  GatewayError,
  InvalidRequest,
  MnemeError,
  replyError,
  TimedOut,
  Unreachable,
} from "./errors.js";
import { percentEncode } from "./json.js";
import { pauseMs, RetryBudget } from "./retry.js";
import type { CallOptions } from "./types.js";

export interface Call {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Percent-encoded, below the URL of the API. */
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  /** JSON. */
  body?: string;
  /** Sending the request twice has the same effect as once. */
  idempotent: boolean;
  /** The operation works for as long as a function may. */
  slow?: boolean;
  /** Takes the body of a reply without success for a result. */
  result?: (status: number, body: string) => unknown;
}

export interface TransportOptions {
  url: URL;
  authorizer: Authorizer | undefined;
  fetch: typeof fetch;
  timeoutMs: number;
  retries: number;
}

/** API Gateway ends a request after 30 seconds. */
const SLOW_TIMEOUT_MS = 30_000;

/** Sends requests: credentials, time-outs and retries. */
export class Transport {
  readonly #options: TransportOptions;
  readonly #base: string;
  readonly #budget = new RetryBudget();

  constructor(options: TransportOptions) {
    checkTimeout(options.timeoutMs);
    this.#options = options;
    this.#base = options.url.href.replace(/\/+$/, "");
  }

  /** Returns the reply's JSON, and throws a `MnemeError`, or the reason of the caller's signal. */
  async send(call: Call, options: CallOptions = {}): Promise<unknown> {
    options.signal?.throwIfAborted();
    const timeoutMs =
      options.timeoutMs ?? (call.slow ? Math.max(this.#options.timeoutMs, SLOW_TIMEOUT_MS) : this.#options.timeoutMs);
    checkTimeout(timeoutMs);
    const deadline = Date.now() + timeoutMs;
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), timeoutMs);
    const abort = () => controller.abort();
    options.signal?.addEventListener("abort", abort);
    try {
      return await this.#attempts(call, controller.signal, deadline);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!controller.signal.aborted) throw error;
      throw new TimedOut({
        detail: `${call.method} ${call.path} did not end within ${timeoutMs} ms`,
        remediation: "raise `timeoutMs`; a cold start has to fit into it",
        cause: error,
      });
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", abort);
    }
  }

  async #attempts(call: Call, signal: AbortSignal, deadline: number): Promise<unknown> {
    let refreshed = false;
    for (let attempt = 0; ; attempt++) {
      try {
        const reply = await this.#attempt(call, signal);
        this.#budget.earn();
        return reply;
      } catch (error) {
        if (!(error instanceof MnemeError) || signal.aborted) throw error;
        if (!refreshed && error instanceof CredentialsRefused && this.#options.authorizer?.refresh()) {
          refreshed = true;
          continue;
        }
        const pause = pauseMs(error, attempt, call.idempotent);
        if (pause === undefined || attempt >= this.#options.retries) throw error;
        // A pause beyond the deadline would only turn this error into a time-out.
        if (Date.now() + pause >= deadline || !this.#budget.take()) throw error;
        await untilAborted(new Promise((resolve) => setTimeout(resolve, pause)), signal);
      }
    }
  }

  async #attempt(call: Call, signal: AbortSignal): Promise<unknown> {
    // Some runtimes refuse to call `fetch` as a method of another object.
    const { authorizer, fetch } = this.#options;
    const url = this.#base + call.path + queryText(call.query);
    const plain: Record<string, string> = call.body === undefined ? {} : { "content-type": "application/json" };
    const request = { method: call.method, url, headers: plain, body: call.body };
    const headers = authorizer === undefined ? plain : await untilAborted(authorizer.headers(request), signal);
    let status: number;
    let retryAfter: string | null;
    let body: string;
    try {
      const reply = await fetch(url, {
        method: call.method,
        headers,
        signal,
        // A signature holds for one URL, and a token belongs to one host.
        redirect: "manual",
        ...(call.body === undefined ? {} : { body: call.body }),
      });
      status = reply.status;
      retryAfter = reply.headers.get("retry-after");
      body = await reply.text();
    } catch (cause) {
      throw connectionError(`${call.method} ${this.#options.url.host}`, cause);
    }
    if (status >= 200 && status < 300) return json(call, body);
    const result = call.result?.(status, body);
    if (result !== undefined) return result;
    throw replyError(status, body, retryAfter);
  }
}

/** A timer with a longer time, or with none, ends at once. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

function checkTimeout(timeoutMs: number): void {
  if (timeoutMs > 0 && timeoutMs <= LONGEST_TIMEOUT_MS) return;
  throw new InvalidRequest({
    detail: `timeoutMs: ${timeoutMs} is not between 1 and ${LONGEST_TIMEOUT_MS}`,
    remediation: "give milliseconds in that range",
  });
}

/** Encodes a blank as `%20`: in a signature a `+` is a plus sign. */
function queryText(query: Call["query"] = {}): string {
  const pairs = Object.entries(query).filter(
    (pair): pair is [string, string | number | boolean] => pair[1] !== undefined,
  );
  if (pairs.length === 0) return "";
  return `?${pairs.map(([key, value]) => `${percentEncode(key, key)}=${percentEncode(key, String(value))}`).join("&")}`;
}

function json(call: Call, body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new GatewayError({
      detail: `the reply to ${call.method} ${call.path} is not JSON`,
      remediation: "check the URL: it is the stack's output `ApiUrl`",
      cause,
    });
  }
}

/** Codes of Node for connections that were not made. Other runtimes have no codes. */
const NO_CONNECTION = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "UND_ERR_CONNECT_TIMEOUT"]);

function connectionError(request: string, cause: unknown): MnemeError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const code = (inner as { code?: unknown } | null)?.code;
  const kind = typeof code === "string" && NO_CONNECTION.has(code) ? Unreachable : ConnectionLost;
  const text = inner instanceof Error ? inner.message || String(code ?? inner.name) : String(inner);
  return new kind({
    detail: `${request} failed: ${text}`,
    remediation: "check the URL and the network; `cause` is the error of `fetch`",
    cause,
  });
}

/** What a provider or a timer does cannot be ended, but nobody waits for it any longer. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new Error("aborted"));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
