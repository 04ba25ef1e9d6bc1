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
/** The lookups of a range of time, by hour or by day of UTC, and what hits saved. */
export type StatsSeries = Schemas["StatsSeries"];
/** Why a lookup has its outcome. */
export type Explanation = Schemas["Explanation"];
/** What the call of the model used that an answer comes from. `statsBy` sums up what hits saved by it. */
export type Usage = Schemas["Usage"];
/** The settings of a namespace. A field that is left out or null is as configured for the whole cache. */
export type Settings = Schemas["SettingsRequest"];
/** The settings of a namespace, and in `effective` what applies in it. */
export type NamespaceSettings = Schemas["NamespaceSettings"];
/** What to change of an entry. What is left out stays. */
export type UpdateRequest = Schemas["UpdateRequest"];
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
  /** The tags that an entry must have to answer. */
  tags?: readonly string[] | undefined;
  /** Adds an `explanation` to the result. It takes reads of its own. */
  explain?: boolean | undefined;
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
  /** Up to 16 texts by which the entry is found and deleted, such as its source. */
  tags?: readonly string[] | undefined;
  /** What the answer cost. */
  usage?: Usage | undefined;
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
  /** Only entries whose stored question has this part, in upper or lower case. */
  text?: string | undefined;
  /** Only entries with this tag. */
  tag?: string | undefined;
  /** Only entries whose metadata has these values. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** Only entries put at this epoch second or later. */
  created_since?: number | undefined;
  /** Only entries put before this epoch second. */
  created_before?: number | undefined;
  /** Only entries last used at this epoch second or later. */
  used_since?: number | undefined;
  /** Only entries last used before this epoch second. */
  used_before?: number | undefined;
  /** The fields of each entry. `id` is always among them. Without it, all but `embedding`. */
  fields?: readonly (keyof ListedEntry)[] | undefined;
}

export interface StatsRange {
  /** The start in epoch seconds. Without it, a day before `to` by hour, and 30 days by day. */
  from?: number | undefined;
  /** The end in epoch seconds. Without it, now. */
  to?: number | undefined;
  /** One namespace; null for all that the caller may use. Without it, the client's, or all. */
  namespace?: string | null | undefined;
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
  /** Chooses the cutoff with the threshold. Not together with `cutoff`. */
  fit_cutoff?: boolean | undefined;
}

export interface CallOptions {
  /** The time for the whole call with its retries, in milliseconds. */
  timeoutMs?: number | undefined;
  /** Ends the call. The call then throws the signal's reason. */
  signal?: AbortSignal | undefined;
}
