import type { components } from "./schema.js";

type Schemas = components["schemas"];

/** A stored answer that a lookup found. */
export type Hit = Schemas["Hit"];
/** The reason why a lookup found no answer. A miss is a result, never an error. */
export type Miss = Schemas["Miss"];
/** `outcome` tells a {@link Hit} from a {@link Miss}. */
export type LookupResult = Hit | Miss;
/** The id of a stored entry, and whether it is new. `created` is false if it replaced an entry for the same question. */
export type Stored = Schemas["Stored"];
/** An entry as it is stored. `embedding` is base64 of little-endian float32: `decodeEmbedding` reads it. */
export type Entry = Schemas["Entry"];
/** An entry of a listing: its id, and the fields that were asked for. */
export type ListedEntry = Schemas["ListedEntry"];
export type Page = Schemas["Page"];
export type NamespaceCount = Schemas["NamespaceCount"];
export type Quota = Schemas["Quota"];
export type Meta = Schemas["Meta"];
export type Stats = Schemas["Stats"];
export type Health = Schemas["Health"];
export type VacuumResult = Schemas["VacuumResult"];
export type Calibration = Schemas["Calibration"];
export type Reembedding = Schemas["Reembedding"];
export type ReembedRequest = Schemas["ReembedRequest"];
/** An error of the cache as it is sent (RFC 9457). */
export type Problem = Schemas["Problem"];

/** A vector: numbers, which are sent as base64 of little-endian float32, or such a base64 text itself. */
export type Embedding = Float32Array | readonly number[] | string;

interface QuestionFields {
  /** Everything else that decides the answer, such as the model and its parameters. It is matched exactly. */
  context?: Readonly<Record<string, unknown>> | undefined;
  /** The namespace. Without it, the client's. */
  namespace?: string | undefined;
  /** The embedding of `query`, or of the last message of the user. Without it, the cache's embedder makes one. */
  embedding?: Embedding | undefined;
}

/** A question: its text, or a conversation that ends with the user's message or the result of a tool. */
export type Question = QuestionFields &
  (
    | { query: string; messages?: undefined }
    | {
        /** In the form of OpenAI, Anthropic, Bedrock Converse, Gemini, LangChain or the AI SDK. */
        messages: readonly object[];
        query?: undefined;
      }
  );

export type LookupRequest = Question & {
  /** Makes the lookup a miss. */
  bypass?: boolean | undefined;
  /** The least similarity of a semantic hit, from -1 to 1. It can only raise the threshold of the cache. */
  threshold?: number | undefined;
  guard?: "on" | "off" | undefined;
  /** Asks for the lease after a miss, for 1 to 900 seconds. `lease` of the miss says who makes the answer. */
  lease?: { seconds: number } | undefined;
};

/** Who is to make the answer after a miss. */
export type Lease = Schemas["Lease"];

export type EntryRequest = Question & {
  response: string;
  /** What the caller keeps with the answer. At most 64 KB as JSON, by default. */
  metadata?: Readonly<Record<string, unknown>> | undefined;
  /** Seconds to live. Without it, the cache's default applies. */
  ttl_seconds?: number | undefined;
  /** How much the answer is trusted, from 0 to 1. */
  confidence_score?: number | undefined;
  /** 1 to 128 bytes. The same key within 24 hours answers as the first time and stores nothing. */
  idempotency_key?: string | undefined;
  /** Why the model stopped, as its client says it. An unfinished answer is not stored. */
  finish_reason?: string | undefined;
  /** Keeps the entry that exists for this question, and stores nothing. */
  if_absent?: boolean | undefined;
  /** The token of the lease under which the answer was made. The put ends the lease. */
  lease_token?: string | undefined;
};

export interface ListRequest {
  /** One namespace; null for all that the caller may use. Without it, the client's, or all. */
  namespace?: string | null | undefined;
  /** Only entries with ids above this one, in order `id`. */
  after_id?: number | undefined;
  /** By id, or least recently used first. */
  order?: "id" | "lru" | undefined;
  /** The largest number of entries of a page, 1 to 1,000. Without it, 100. */
  limit?: number | undefined;
}

export interface VacuumRequest {
  /** One namespace. Without it, the whole table. */
  namespace?: string | undefined;
  /** The `cursor` of the reply before. */
  cursor?: string | undefined;
  resume?: boolean | undefined;
}

export type Side =
  | string
  | {
      query?: string | undefined;
      messages?: readonly object[] | undefined;
      context?: Readonly<Record<string, unknown>> | undefined;
      embedding?: Embedding | undefined;
    };

export interface CalibrateRequest {
  pairs: readonly { a: Side; b: Side; same: boolean; similarity?: number | undefined }[];
  target?: "f1" | { max_wrong: number } | undefined;
  guard?: "on" | "off" | undefined;
  cutoff?: number | undefined;
}

export interface CallOptions {
  /** The time for the whole call with its retries, in milliseconds. */
  timeoutMs?: number | undefined;
  /** Ends the call. The call then throws the signal's reason. */
  signal?: AbortSignal | undefined;
}
