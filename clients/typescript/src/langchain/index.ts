import { BaseCache } from "@langchain/core/caches";
import type { Generation } from "@langchain/core/outputs";
import type { Mneme } from "../client.js";
import { tryEmbed, tryLookup, tryPrepare, tryPut, type WaitUntil } from "../fail-open.js";
import type { Question } from "../types.js";
import { hasToolCalls, readGenerations, refusedGenerations, writeGenerations } from "./generations.js";
import { type Asked, asked, MEDIA } from "./question.js";

export interface MnemeCacheOptions {
  /** Without it, the client's. */
  namespace?: string | undefined;
  /** Seconds that answers stay right. */
  ttl_seconds?: number | undefined;
  /** Further values that decide the answer, such as the user's language or the version of documents. */
  context?: Readonly<Record<string, unknown>> | undefined;
  /** Makes embeddings, if the cache has no embedder of its own: any `Embeddings` of LangChain. */
  embeddings?: { embedQuery(text: string): Promise<number[]> } | undefined;
  /**
   * Answers with tool calls: `exact` serves them to the same prompt only, since another wording needs other arguments;
   * `always` by similarity as well; `never` does not store them. Without it, `exact`.
   */
  toolCalls?: "exact" | "always" | "never" | undefined;
  /** Takes the put, so that the answer does not wait for it. */
  waitUntil?: WaitUntil | undefined;
  /** The time for a lookup, and for a put, in milliseconds. Without it, the client's. */
  timeoutMs?: number | undefined;
}

/**
 * A cache for models of LangChain.js: `new ChatOpenAI({ cache: new MnemeCache(mneme) })`. An error of the cache is
 * reported, and the model is called. LangChain asks no cache for streams.
 */
export class MnemeCache extends BaseCache<Generation[]> {
  readonly #mneme: Mneme;
  readonly #options: MnemeCacheOptions;

  constructor(mneme: Mneme, options: MnemeCacheOptions = {}) {
    super();
    this.#mneme = mneme;
    this.#options = options;
  }

  override async lookup(prompt: string, llmKey: string): Promise<Generation[] | null> {
    const { context = {}, timeoutMs, toolCalls = "exact" } = this.#options;
    const ask = await tryPrepare(this.#mneme, () => asked(prompt, llmKey, context));
    if (ask === undefined) return null;
    if (ask === MEDIA) {
      this.#mneme.report({ type: "skipped", reason: MEDIA });
      return null;
    }
    let generations: Generation[] | undefined;
    await tryLookup(this.#mneme, await this.#question(ask), { timeoutMs }, ({ response, layer }) => {
      generations = readGenerations(response);
      if (generations === undefined || !hasToolCalls(generations)) return generations !== undefined;
      if (toolCalls === "always" || (toolCalls === "exact" && layer === "exact")) return true;
      generations = undefined;
      return false;
    });
    return generations ?? null;
  }

  override async update(prompt: string, llmKey: string, value: Generation[]): Promise<void> {
    const { context = {}, ttl_seconds, timeoutMs, toolCalls, waitUntil } = this.#options;
    const ask = await tryPrepare(this.#mneme, () => asked(prompt, llmKey, context));
    if (ask === undefined) return;
    const reason = ask === MEDIA ? MEDIA : refusedGenerations(value, toolCalls !== "never");
    if (ask === MEDIA || reason !== undefined) {
      this.#mneme.report({ type: "not_stored", reason: reason ?? MEDIA });
      return;
    }
    const question = await this.#question(ask);
    const entry = () => ({ ...question, response: writeGenerations(value), ttl_seconds });
    const put = tryPut(this.#mneme, entry, { timeoutMs });
    if (waitUntil === undefined) await put;
    else waitUntil(put);
  }

  async #question({ question, text }: Asked): Promise<Question> {
    const { namespace, embeddings } = this.#options;
    const embed = embeddings === undefined ? undefined : (input: string) => embeddings.embedQuery(input);
    return { ...question, namespace, embedding: await tryEmbed(this.#mneme, embed, text) };
  }
}
