import type { Problem } from "./types.js";

interface Facts {
  status?: number | undefined;
  detail: string;
  remediation: string;
  retryAfterSeconds?: number | undefined;
  cause?: unknown;
}

/** Every error of this package. `name` is the class's name: for errors of the cache, the name in `docs/errors.md`. */
export class MnemeError extends Error {
  /** What happened, with values. */
  readonly detail: string;
  /** What to do next. */
  readonly remediation: string;
  /** The HTTP status, if there was a reply. */
  readonly status: number | undefined;
  /** The cache asks to wait for this time before the request is sent again. */
  readonly retryAfterSeconds: number | undefined;

  constructor(facts: Facts) {
    super(`${facts.detail}. Remediation: ${facts.remediation}`, { cause: facts.cause });
    this.detail = facts.detail;
    this.remediation = facts.remediation;
    this.status = facts.status;
    this.retryAfterSeconds = facts.retryAfterSeconds;
  }
}

/** The request is malformed: a field is missing, wrong, unknown or given twice. */
export class InvalidRequest extends MnemeError {
  override readonly name = "InvalidRequest";
}
/** The caller's token does not list the namespace, or the request concerns all namespaces. */
export class NamespaceForbidden extends MnemeError {
  override readonly name = "NamespaceForbidden";
}
/** The caller's token does not have the scope that the request needs. */
export class InsufficientScope extends MnemeError {
  override readonly name = "InsufficientScope";
}
/** The idempotency key was used with another request. */
export class IdempotentParameterMismatch extends MnemeError {
  override readonly name = "IdempotentParameterMismatch";
}
/** There is no such entry, quota or meta value. */
export class NotFound extends MnemeError {
  override readonly name = "NotFound";
}
/** The functions are configured for another embedder than the table's. */
export class EmbedderMismatchError extends MnemeError {
  override readonly name = "EmbedderMismatchError";
}
/** A limit in bytes is exceeded. */
export class EntryTooLarge extends MnemeError {
  override readonly name = "EntryTooLarge";
}
/** The body of the request is compressed. */
export class UnsupportedContentEncoding extends MnemeError {
  override readonly name = "UnsupportedContentEncoding";
}
/** The vector has another length than the cache's. */
export class EmbedderDimensionError extends MnemeError {
  override readonly name = "EmbedderDimensionError";
}
/** A defect of the cache. */
export class Internal extends MnemeError {
  override readonly name = "Internal";
}
/** The cache takes and restores no snapshots of its own. */
export class CheckpointError extends MnemeError {
  override readonly name = "CheckpointError";
}
/** `chat` does not know the key of the caller. */
export class Unauthorized extends MnemeError {
  override readonly name = "Unauthorized";
}
/** The upstream service of `chat` is not configured or did not answer. */
export class UpstreamError extends MnemeError {
  override readonly name = "UpstreamError";
}
/** The request allows a stored answer only, and there is none. */
export class NotCached extends MnemeError {
  override readonly name = "NotCached";
}
/** The embedder of the cache could not make a vector. */
export class EmbedderError extends MnemeError {
  override readonly name = "EmbedderError";
}
/** DynamoDB could not be used, or the race for the counter was lost. */
export class StoreBackendError extends MnemeError {
  override readonly name = "StoreBackendError";
}

/** The base of the errors on the way to the cache, which the cache itself did not report. */
export class TransportError extends MnemeError {}
/** No connection could be made, so the request was not sent. */
export class Unreachable extends TransportError {
  override readonly name = "Unreachable";
}
/** The connection ended before the reply, or the runtime does not say why. The request may have been carried out. */
export class ConnectionLost extends TransportError {
  override readonly name = "ConnectionLost";
}
/** The call took longer than its `timeoutMs`. The request may have been carried out. */
export class TimedOut extends TransportError {
  override readonly name = "TimedOut";
}
/** AWS refused the request because of its limits. The request was not carried out. */
export class Throttled extends TransportError {
  override readonly name = "Throttled";
}
/** There are no credentials, or their provider failed. */
export class CredentialsMissing extends TransportError {
  override readonly name = "CredentialsMissing";
}
/** AWS refused the credentials. */
export class CredentialsRefused extends TransportError {
  override readonly name = "CredentialsRefused";
}
/** What answered is not the cache: API Gateway, Lambda, or something else at this address. */
export class GatewayError extends TransportError {
  override readonly name = "GatewayError";
}
/** An `embed` function of the application failed. */
export class EmbedFailed extends MnemeError {
  override readonly name = "EmbedFailed";
}

const CLASSES: Record<string, new (facts: Facts) => MnemeError> = {
  InvalidRequest,
  NamespaceForbidden,
  InsufficientScope,
  IdempotentParameterMismatch,
  NotFound,
  EmbedderMismatchError,
  EntryTooLarge,
  UnsupportedContentEncoding,
  EmbedderDimensionError,
  Internal,
  CheckpointError,
  EmbedderError,
  Unauthorized,
  UpstreamError,
  NotCached,
  StoreBackendError,
};
const URN = "urn:mneme:error:";

const REFUSED = "check the option `auth`, the permission `execute-api:Invoke`, and the clock of this machine";
/** Replies of the gateway that say what to do. */
const GATEWAY: Record<number, [new (facts: Facts) => MnemeError, string]> = {
  401: [CredentialsRefused, REFUSED],
  403: [CredentialsRefused, REFUSED],
  404: [GatewayError, "check the URL: it is the stack's output `ApiUrl`, without `/v1`"],
  413: [GatewayError, "send less in one request"],
  429: [Throttled, "send fewer requests, or raise the limits of the stage"],
};
const UNKNOWN = "try again; if it lasts, look into the logs of the API and of the function";

/** The error of a problem. A newer cache may send a name that this package does not know: it becomes a `MnemeError`. */
export function problemError(problem: Problem, retryAfterSeconds?: number): MnemeError {
  const name = problem.type.startsWith(URN) ? problem.type.slice(URN.length) : problem.type;
  const facts = { ...problem, retryAfterSeconds };
  if (Object.hasOwn(CLASSES, name)) return new (CLASSES[name] as new (facts: Facts) => MnemeError)(facts);
  return Object.assign(new MnemeError(facts), { name });
}

/** The error of a reply whose status is not a success. */
export function replyError(status: number, body: string, retryAfter: string | null): MnemeError {
  const seconds = retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : undefined;
  const value = parsed(body);
  if (isObject(value) && typeof value.type === "string" && typeof value.remediation === "string")
    return problemError(value as unknown as Problem, seconds);
  const message = isObject(value) && typeof value.message === "string" ? value.message : body.slice(0, 200);
  const [kind, remediation] = GATEWAY[status] ?? [GatewayError, UNKNOWN];
  return new kind({
    status,
    detail: `the gateway answered with status ${status}: ${message}`,
    remediation,
    retryAfterSeconds: seconds,
  });
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
