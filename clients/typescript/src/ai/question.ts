import { sha256 } from "../digest.js";
import { isObject } from "../errors.js";
import type { Question } from "../types.js";
import type { Model, Params } from "./types.js";

/** What a call says to the cache, in `providerOptions.mneme`. */
export interface CallSettings {
  /** Leaves the cache out, for example for a personal answer. */
  skip?: boolean;
  namespace?: string;
  /** Seconds that the answer stays right. */
  ttl_seconds?: number;
}

export interface Asked {
  question: Question & { messages: readonly object[] };
  settings: CallSettings;
  /** The last text of the user, which is embedded. */
  text: string | undefined;
}

export interface ContextOptions {
  /** Further values that decide the answer, such as the user's language or the version of documents. */
  context?: Readonly<Record<string, unknown>> | undefined;
  /** Names of request headers that decide the answer. Other headers are not part of the context. */
  contextHeaders?: readonly string[] | undefined;
}

/** What is asked: the prompt, and as context every parameter but those that cannot decide the answer. */
export async function asked(params: Params, model: Model, options: ContextOptions): Promise<Asked> {
  const { prompt, abortSignal: _signal, includeRawChunks: _raw, headers, providerOptions, ...decisive } = params;
  const { mneme, ...others } = providerOptions ?? {};
  const parameters = await withDigests({
    ...decisive,
    ...(Object.keys(others).length === 0 ? {} : { providerOptions: others }),
  });
  const context = {
    ...options.context,
    provider: model.provider,
    model: model.modelId,
    // The forms of stored results differ between versions of the specification.
    specification: model.specificationVersion,
    parameters,
    ...chosenHeaders(headers, options.contextHeaders ?? []),
  };
  const messages = (await withDigests(prompt)) as object[];
  return { question: { messages, context }, settings: (mneme ?? {}) as CallSettings, text: lastText(prompt) };
}

function chosenHeaders(headers: Params["headers"], names: readonly string[]) {
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  const chosen = Object.entries(headers ?? {}).flatMap(([name, value]) =>
    wanted.has(name.toLowerCase()) ? [[name.toLowerCase(), value]] : [],
  );
  return chosen.length === 0 ? {} : { headers: Object.fromEntries(chosen) as Record<string, unknown> };
}

function lastText(prompt: Params["prompt"]): string | undefined {
  const last = prompt.findLast(({ role }) => role === "user");
  if (last?.role !== "user") return undefined;
  const text = last.content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
  return text.trim() === "" ? undefined : text;
}

/**
 * The same value with a digest in place of each file's bytes. The cache compares files by a hash in any case, and a
 * request has a limit in bytes.
 */
async function withDigests(value: unknown): Promise<unknown> {
  if (value instanceof Uint8Array) return `sha256:${await sha256(value)}`;
  if (value instanceof URL) return value.href;
  if (Array.isArray(value)) return Promise.all(value.map(withDigests));
  if (!isObject(value)) return value;
  const isFile = typeof value.data === "string" && (value.type === "data" || "mediaType" in value);
  const pairs = Object.entries(value).map(async ([key, inner]) => [
    key,
    isFile && key === "data" ? `sha256:${await sha256(inner as string)}` : await withDigests(inner),
  ]);
  return Object.fromEntries(await Promise.all(pairs)) as unknown;
}
