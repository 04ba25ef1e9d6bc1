export {
  type Auth,
  type Authorizer,
  type AwsCredentials,
  bearer,
  type IamOptions,
  iam,
  type Unsigned,
} from "./auth.js";
export { type ItemResult, Mneme, type MnemeOptions } from "./client.js";
export { type Completion, type ModelResult, readCompletion } from "./completion.js";
export { decodeEmbedding, encodeEmbedding } from "./embedding.js";
export {
  CheckpointError,
  ConnectionLost,
  CredentialsMissing,
  CredentialsRefused,
  EmbedderDimensionError,
  EmbedderError,
  EmbedderMismatchError,
  EmbedFailed,
  EntryTooLarge,
  GatewayError,
  IdempotentParameterMismatch,
  InsufficientScope,
  Internal,
  InvalidRequest,
  MnemeError,
  NamespaceForbidden,
  NotCached,
  NotFound,
  StoreBackendError,
  Throttled,
  TimedOut,
  TransportError,
  Unauthorized,
  Unreachable,
  UnsupportedContentEncoding,
  UpstreamError,
} from "./errors.js";
export type { Embed, WaitUntil } from "./fail-open.js";
export type { Answer, GetOrCallOptions, ReadOption } from "./get-or-call.js";
export type { MnemeEvent, Reason, ReporterOptions } from "./report.js";
export type * from "./types.js";
