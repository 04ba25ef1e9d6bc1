import type { Auth } from "./auth.js";
import { batchBody, type Item, isTooLarge, split } from "./batch.js";
import type { ModelResult } from "./completion.js";
import { encodeEmbedding } from "./embedding.js";
import { EntryTooLarge, GatewayError, InvalidRequest, isObject, MnemeError, problemError } from "./errors.js";
import { type Answer, type GetOrCallOptions, getOrCall, type ReadOption } from "./get-or-call.js";
import { pathPart, toJson } from "./json.js";
import { type MnemeEvent, Reporter, type ReporterOptions } from "./report.js";
import { type Call, Transport } from "./transport.js";
import type * as t from "./types.js";

export interface MnemeOptions extends ReporterOptions {
  /** The stack's output `ApiUrl`, or the URL of `mneme-local`. */
  url: string | URL;
  /** `bearer(…)` or `iam(…)`. Without it, requests carry no credentials. */
  auth?: Auth | undefined;
  /** The namespace of requests that name none. Without it, the cache takes `default`. */
  namespace?: string | undefined;
  /** The time for a call with its retries, in milliseconds. Without it, 5,000. A cold start has to fit. */
  timeoutMs?: number | undefined;
  /** The largest number of retries of a call. Without it, 2. */
  retries?: number | undefined;
  /** Another `fetch`. */
  fetch?: typeof fetch | undefined;
}

/** The result of one item of a batch: `value`, or the item's own `error`. */
export type ItemResult<T> = { value: T; error?: undefined } | { value?: undefined; error: MnemeError };

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_RETRIES = 2;
/** A reply takes answers of about 3 MB. Those that did not fit are asked for again. */
const QUERIES_OF_A_ROUND = [100, 7, 1];
const MAX_ENTRIES = 1_000;
const MAX_SETTINGS = 1_000;

/**
 * A client of the cache. Fields have the names of `openapi.yaml`. Every method throws a `MnemeError`; a miss is no
 * error. Ids and counts are exact up to 2^53.
 */
export class Mneme {
  readonly #transport: Transport;
  readonly #namespace: string | undefined;
  readonly #reporter: Reporter;

  constructor(options: MnemeOptions) {
    const url = parseUrl(options.url);
    this.#transport = new Transport({
      url,
      authorizer: options.auth?.(url),
      fetch: options.fetch ?? globalThis.fetch,
      timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      retries: options.retries ?? DEFAULT_RETRIES,
    });
    this.#namespace = options.namespace;
    this.#reporter = new Reporter(options);
  }

  /** Looks a question up. A text is short for `{ query: text }`. */
  async lookup(question: string | t.LookupRequest, options?: t.CallOptions): Promise<t.LookupResult> {
    const body = this.#question(typeof question === "string" ? { query: question } : question);
    return this.#read({ method: "POST", path: "/v1/lookup", body, idempotent: true }, options);
  }

  /**
   * Releases the lease that a lookup granted, for a caller who puts no answer. Returns whether the token held the lease.
   */
  async release(question: string | t.Question, leaseToken: string, options?: t.CallOptions): Promise<boolean> {
    const asked = typeof question === "string" ? { query: question } : question;
    const { query, messages, context, namespace } = asked;
    const body = this.#question({ query, messages, context, namespace, lease_token: leaseToken } as t.Question);
    const call: Call = { method: "POST", path: "/v1/lookup/release", body, idempotent: true };
    return (await this.#read<{ released: boolean }>(call, options)).released;
  }

  /**
   * Says whether the answer of the entry `id` is right for the question. Returns the effect: `barred`, the entry is not
   * served for the question any more; `aliased`, the exact layer finds it; `none`, the question has an entry of its own.
   */
  async feedback(
    question: string | t.Question,
    id: number,
    right: boolean,
    options?: t.CallOptions,
  ): Promise<"barred" | "aliased" | "none"> {
    const asked = typeof question === "string" ? { query: question } : question;
    const { query, messages, context, namespace } = asked;
    const body = this.#question({ query, messages, context, namespace, id, right } as t.Question);
    const call: Call = { method: "POST", path: "/v1/feedback", body, idempotent: true };
    return (await this.#read<{ effect: "barred" | "aliased" | "none" }>(call, options)).effect;
  }

  /**
   * Looks questions up, in as few requests as their number and size allow. The results are in the order of the
   * questions. Answers that do not fit one reply together are asked for again.
   */
  async lookupMany(
    questions: readonly (string | t.LookupRequest)[],
    options?: t.CallOptions,
  ): Promise<ItemResult<t.LookupResult>[]> {
    const results: ItemResult<t.LookupResult>[] = [];
    let open = questions.map((question, index) => ({
      index,
      json: this.#question(typeof question === "string" ? { query: question } : question),
    }));
    for (const size of QUERIES_OF_A_ROUND) {
      await this.#batch("/v1/lookup", "queries", split(open, size), results, options);
      open = open.filter(({ index }) => results[index]?.error instanceof EntryTooLarge);
    }
    return results;
  }

  /** Stores an answer. An entry for the same question is replaced. */
  async put(entry: t.EntryRequest, options?: t.CallOptions): Promise<t.Stored> {
    const body = this.#question(entry);
    return this.#read({ method: "POST", path: "/v1/entries", body, idempotent: true }, options);
  }

  /**
   * Stores answers, in as few requests as their number and size allow, one after the other. The results are in the
   * order of the entries. Throws if the first request fails; if a later one fails, its entries and those after it have
   * its error, and those before are stored.
   */
  async putMany(entries: readonly t.EntryRequest[], options?: t.CallOptions): Promise<ItemResult<t.Stored>[]> {
    const results: ItemResult<t.Stored>[] = [];
    const items = entries.map((entry, index) => ({ index, json: this.#question(entry) }));
    await this.#batch("/v1/entries", "entries", split(items, MAX_ENTRIES), results, options);
    return results;
  }

  /** Reads an entry by its id. */
  async get(id: number, options?: t.CallOptions): Promise<t.Entry> {
    return this.#read({ method: "GET", path: `/v1/entries/${pathPart("id", id)}`, idempotent: true }, options);
  }

  /** Reads an entry by the SHA-256 of its normalised question, in hexadecimal digits. */
  async find(queryHash: string, namespace?: string, options?: t.CallOptions): Promise<t.Entry> {
    const path = `/v1/namespaces/${this.#namespacePart(namespace)}/entries/${pathPart("query_hash", queryHash)}`;
    return this.#read({ method: "GET", path, idempotent: true }, options);
  }

  /** Reads one page of entries. Continue with its `cursor` until it is null. `entries()` does this. */
  async list(request: t.ListRequest & { cursor?: string | undefined } = {}, options?: t.CallOptions): Promise<t.Page> {
    const { namespace, metadata = {}, fields, ...rest } = request;
    const wanted = Object.entries(metadata).map(([key, value]) => [`metadata.${key}`, value]);
    const query = {
      ...rest,
      ...(Object.fromEntries(wanted) as Record<string, string>),
      namespace: this.#filter(namespace),
      fields: fields?.join(","),
    };
    return this.#read({ method: "GET", path: "/v1/entries", query, idempotent: true }, options);
  }

  /** Iterates over entries, page by page. */
  async *entries(request: t.ListRequest = {}, options?: t.CallOptions): AsyncGenerator<t.ListedEntry, void, undefined> {
    const { after_id, ...rest } = request;
    // A cursor has its own place and cannot be combined with `after_id`.
    let page = await this.list(request, options);
    yield* page.entries;
    while (page.cursor !== null) {
      page = await this.list({ ...rest, cursor: page.cursor }, options);
      yield* page.entries;
    }
  }

  /** Makes an entry the most recently used one of its namespace. A hit does this by itself. */
  async touch(id: number, options?: t.CallOptions): Promise<{ touched: true; id: number }> {
    const path = `/v1/entries/${pathPart("id", id)}/touch`;
    return this.#read({ method: "POST", path, idempotent: false }, options);
  }

  /** Changes parts of an entry, and returns it. What is left out stays. Throws `NotFound` if there is none. */
  async update(id: number, changes: t.UpdateRequest, options?: t.CallOptions): Promise<t.Entry> {
    const path = `/v1/entries/${pathPart("id", id)}`;
    return this.#read({ method: "PATCH", path, body: toJson(changes), idempotent: true }, options);
  }

  /** Deletes an entry by its id, or by its question. Throws `NotFound` if there is none. */
  async delete(entry: number | string | t.Question, options?: t.CallOptions): Promise<{ deleted: true; id: number }> {
    if (typeof entry === "number")
      return this.#read({ method: "DELETE", path: `/v1/entries/${pathPart("id", entry)}`, idempotent: false }, options);
    const { embedding: _, ...question } = typeof entry === "string" ? { query: entry } : (entry as t.Question);
    const body = this.#question(question as t.Question);
    return this.#read({ method: "POST", path: "/v1/entries/delete", body, idempotent: false }, options);
  }

  /**
   * Deletes the entries of a namespace that have a tag. Returns their number. Entries that are put meanwhile stay. If a
   * request fails, the scheduled `vacuum` of the cache finishes the deletion.
   */
  async deleteTagged(tag: string, namespace?: string, options?: t.CallOptions): Promise<number> {
    let deleted = 0;
    let cursor: string | null | undefined;
    do {
      const body = toJson({ namespace: namespace ?? this.#namespace ?? "default", tag, cursor });
      // Sent twice, a call with a cursor has the same effect as once. Without one, it begins a second deletion.
      const idempotent = typeof cursor === "string";
      const reply: { deleted_entries: number; cursor: string | null } = await this.#read(
        { method: "POST", path: "/v1/entries/delete", body, idempotent, slow: true },
        options,
      );
      deleted += reply.deleted_entries;
      cursor = reply.cursor;
    } while (cursor !== null);
    return deleted;
  }

  /** The namespaces with live entries, sorted by name. Reads the whole table. */
  async namespaces(options?: t.CallOptions): Promise<t.NamespaceCount[]> {
    const reply = await this.#read<{ namespaces: t.NamespaceCount[] }>(
      { method: "GET", path: "/v1/namespaces", idempotent: true, slow: true },
      options,
    );
    return reply.namespaces;
  }

  /**
   * Deletes every entry of a namespace. Returns their number. `purge`: deletes everything else that the cache keeps of
   * the namespace, too, such as its settings.
   */
  async clear(namespace: string, options?: t.CallOptions & { purge?: boolean | undefined }): Promise<number> {
    const path = `/v1/namespaces/${this.#namespacePart(namespace)}`;
    const query = { purge: options?.purge || undefined };
    const reply = await this.#read<{ deleted: number }>(
      { method: "DELETE", path, query, idempotent: false, slow: true },
      options,
    );
    return reply.deleted;
  }

  /** Deletes every entry of every namespace. Returns their number. */
  async clearAll(options?: t.CallOptions): Promise<number> {
    const reply = await this.#read<{ deleted: number }>(
      { method: "DELETE", path: "/v1/namespaces", query: { confirm: "all" }, idempotent: false, slow: true },
      options,
    );
    return reply.deleted;
  }

  /** Reads the settings of a namespace, and what applies in it. */
  async settings(namespace?: string, options?: t.CallOptions): Promise<t.NamespaceSettings> {
    return this.#read({ method: "GET", path: this.#settingsPath(namespace), idempotent: true }, options);
  }

  /** Replaces all settings of a namespace. A field that is left out is as configured from then on. */
  async setSettings(settings: t.Settings, namespace?: string, options?: t.CallOptions): Promise<t.NamespaceSettings> {
    const body = toJson(settings);
    return this.#read({ method: "PUT", path: this.#settingsPath(namespace), body, idempotent: true }, options);
  }

  /** Removes the settings of a namespace and its quota. Throws `NotFound` if it has none. */
  async deleteSettings(namespace?: string, options?: t.CallOptions): Promise<void> {
    await this.#read({ method: "DELETE", path: this.#settingsPath(namespace), idempotent: false }, options);
  }

  /** Iterates over the namespaces that have settings, in the order of their names. */
  async *listSettings(options?: t.CallOptions): AsyncGenerator<t.NamespaceSettings, void, undefined> {
    let cursor: string | undefined;
    do {
      const query = { limit: MAX_SETTINGS, cursor };
      const page: { namespaces: t.NamespaceSettings[]; cursor: string | null } = await this.#read(
        { method: "GET", path: "/v1/settings", query, idempotent: true },
        options,
      );
      yield* page.namespaces;
      cursor = page.cursor ?? undefined;
    } while (cursor !== undefined);
  }

  /** Reads the largest number of entries of a namespace. Throws `NotFound` if it has no quota. */
  async quota(namespace?: string, options?: t.CallOptions): Promise<t.Quota> {
    return this.#read({ method: "GET", path: this.#quotaPath(namespace), idempotent: true }, options);
  }

  /** Sets the largest number of entries of a namespace. It takes effect with the namespace's next put. */
  async setQuota(maxEntries: number, namespace?: string, options?: t.CallOptions): Promise<t.Quota> {
    const body = toJson({ max_entries: maxEntries });
    return this.#read({ method: "PUT", path: this.#quotaPath(namespace), body, idempotent: true }, options);
  }

  /** Removes a namespace's quota. Throws `NotFound` if it has none. */
  async deleteQuota(namespace?: string, options?: t.CallOptions): Promise<void> {
    await this.#read({ method: "DELETE", path: this.#quotaPath(namespace), idempotent: false }, options);
  }

  /** Reads a meta value: that of `guard:<namespace>`, or one that an older version kept. */
  async meta(key: string, options?: t.CallOptions): Promise<string> {
    return (await this.#read<t.Meta>({ method: "GET", path: metaPath(key), idempotent: true }, options)).value;
  }

  /** Switches the guard of a namespace: `guard:<namespace>` is another name for its setting `guard`. */
  async setMeta(key: string, value: string, options?: t.CallOptions): Promise<void> {
    await this.#read({ method: "PUT", path: metaPath(key), body: toJson({ value }), idempotent: true }, options);
  }

  /** Removes a meta value. Throws `NotFound` if there is none. */
  async deleteMeta(key: string, options?: t.CallOptions): Promise<void> {
    await this.#read({ method: "DELETE", path: metaPath(key), idempotent: false }, options);
  }

  /** All meta values by key. Switches of the guard are listed by `listSettings`. */
  async listMeta(options?: t.CallOptions): Promise<Record<string, string>> {
    const call: Call = { method: "GET", path: "/v1/meta", idempotent: true };
    return (await this.#read<{ values: Record<string, string> }>(call, options)).values;
  }

  /** Counts entries, hits and misses of one namespace; null for all that the caller may use. */
  async stats(namespace?: string | null, options?: t.CallOptions): Promise<t.Stats> {
    const query = { namespace: this.#filter(namespace) };
    return this.#read({ method: "GET", path: "/v1/stats", query, idempotent: true, slow: true }, options);
  }

  /** The lookups by hour or by day of UTC, and what hits saved. At most 31 days by hour, and 400 days by day. */
  async statsBy(by: "hour" | "day", range: t.StatsRange = {}, options?: t.CallOptions): Promise<t.StatsSeries> {
    const query = { by, from: range.from, to: range.to, namespace: this.#filter(range.namespace) };
    return this.#read({ method: "GET", path: "/v1/stats", query, idempotent: true, slow: true }, options);
  }

  /** Whether the cache can serve. A cache that cannot is a result, too: `problems` says why. */
  async health(options?: t.CallOptions): Promise<t.Health> {
    return this.#read({ method: "GET", path: "/v1/health", idempotent: true, result: unhealthy }, options);
  }

  /** Removes expired entries, enforces quotas and repairs derived items. Continue with `cursor` until it is null. */
  async vacuum(request: t.VacuumRequest = {}, options?: t.CallOptions): Promise<t.VacuumResult> {
    return this.#work("/v1/vacuum", request, options);
  }

  /** Finds the best similarity threshold for labelled pairs of questions. Reads and writes nothing. */
  async calibrate(request: t.CalibrateRequest, options?: t.CallOptions): Promise<t.Calibration> {
    const side = (value: t.Side) => (typeof value === "string" ? value : withBase64(value));
    const pairs = request.pairs.map((pair) => ({ ...pair, a: side(pair.a), b: side(pair.b) }));
    return this.#work("/v1/calibrate", { ...request, pairs }, options);
  }

  /** Moves the cache to another embedder, step by step. */
  async reembed(request: t.ReembedRequest, options?: t.CallOptions): Promise<t.Reembedding> {
    return this.#work("/v1/reembed", request, options);
  }

  /** Always throws `CheckpointError`, which names AWS's own tools. */
  async snapshot(options?: t.CallOptions): Promise<never> {
    return this.#read({ method: "POST", path: "/v1/snapshot", body: "{}", idempotent: true }, options);
  }

  /** Always throws `CheckpointError`, which names AWS's own tools. */
  async restore(options?: t.CallOptions): Promise<never> {
    return this.#read({ method: "POST", path: "/v1/restore", body: "{}", idempotent: true }, options);
  }

  /**
   * Returns the stored answer to a question, or calls the model and stores what it returns. It fails open: an error of
   * the cache is reported, and the model is called. An error of the model is thrown, and nothing is stored.
   */
  getOrCall<T extends ModelResult>(
    question: string | t.LookupRequest,
    call: () => T | PromiseLike<T>,
    options?: GetOrCallOptions,
  ): Promise<Answer<T>>;
  /** The same for results of another form: `read` tells their text, and whether they may be stored. */
  getOrCall<T>(
    question: string | t.LookupRequest,
    call: () => T | PromiseLike<T>,
    options: GetOrCallOptions & ReadOption<T>,
  ): Promise<Answer<T>>;
  async getOrCall<T>(
    question: string | t.LookupRequest,
    call: () => T | PromiseLike<T>,
    options?: GetOrCallOptions & Partial<ReadOption<T>>,
  ): Promise<Answer<T>> {
    return getOrCall(this, typeof question === "string" ? { query: question } : question, call, options);
  }

  /** How often each kind of event happened in `getOrCall` and in the adapters. */
  get counts(): Readonly<Record<MnemeEvent["type"], number>> {
    return this.#reporter.counts;
  }

  /** For adapters: counts an event, logs an error, and calls `onEvent`. */
  report(event: MnemeEvent): void {
    this.#reporter.report(event);
  }

  async #read<T>(call: Call, options: t.CallOptions | undefined): Promise<T> {
    return (await this.#transport.send(call, options)) as T;
  }

  async #work<T>(path: string, request: object, options: t.CallOptions | undefined): Promise<T> {
    return this.#read({ method: "POST", path, body: toJson(request), idempotent: false, slow: true }, options);
  }

  async #batch<T>(
    path: string,
    field: string,
    parts: Item[][],
    results: ItemResult<T>[],
    options: t.CallOptions | undefined,
  ): Promise<void> {
    const shared = this.#namespace === undefined ? {} : { namespace: this.#namespace };
    for (const [place, part] of parts.entries()) {
      try {
        const body = batchBody(field, part, shared);
        const reply = await this.#read<unknown>({ method: "POST", path, body, idempotent: true, slow: true }, options);
        for (const [offset, result] of resultsOf<T>(reply, part.length).entries())
          results[(part[offset] as Item).index] = result;
      } catch (error) {
        if (!(error instanceof MnemeError)) throw error;
        const alone = part.length === 1 && isTooLarge(error);
        if (!alone && results.length === 0) throw error;
        for (const { index } of alone ? part : parts.slice(place).flat()) results[index] = { error };
        if (!alone) return;
      }
    }
  }

  /** JSON of a question or an entry, with the client's namespace. */
  #question(question: t.Question): string {
    const namespace = question.namespace ?? this.#namespace;
    return toJson({ ...withBase64(question), ...(namespace === undefined ? {} : { namespace }) });
  }

  #namespacePart(namespace: string | undefined): string {
    return pathPart("namespace", namespace ?? this.#namespace ?? "default");
  }

  #settingsPath(namespace: string | undefined): string {
    return `/v1/namespaces/${this.#namespacePart(namespace)}/settings`;
  }

  #quotaPath(namespace: string | undefined): string {
    return `/v1/namespaces/${this.#namespacePart(namespace)}/quota`;
  }

  #filter(namespace: string | null | undefined): string | undefined {
    return namespace === null ? undefined : (namespace ?? this.#namespace);
  }
}

function metaPath(key: string): string {
  return `/v1/meta/${pathPart("key", key)}`;
}

function withBase64<T extends { embedding?: t.Embedding | undefined }>(question: T): T {
  return question.embedding === undefined ? question : { ...question, embedding: encodeEmbedding(question.embedding) };
}

function resultsOf<T>(reply: unknown, expected: number): ItemResult<T>[] {
  if (!isObject(reply) || !Array.isArray(reply.results) || reply.results.length !== expected)
    throw new GatewayError({
      detail: `the reply to a batch of ${expected} does not have ${expected} results`,
      remediation: "check the URL: it is the stack's output `ApiUrl`",
    });
  return reply.results.map((result) =>
    isObject(result) && isObject(result.error)
      ? { error: problemError(result.error as unknown as t.Problem) }
      : { value: result as T },
  );
}

function unhealthy(status: number, body: string): unknown {
  if (status !== 503) return undefined;
  try {
    const value = JSON.parse(body) as unknown;
    return isObject(value) && value.healthy === false ? value : undefined;
  } catch {
    return undefined;
  }
}

function parseUrl(text: string | URL): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new InvalidRequest({
      detail: `url: ${String(text)} is not a URL`,
      remediation: "give the stack's output `ApiUrl`",
      cause,
    });
  }
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw new InvalidRequest({
      detail: `url: ${url.protocol} is not http: or https:`,
      remediation: "give the stack's output `ApiUrl`",
    });
  url.search = "";
  url.hash = "";
  return url;
}
