import type { Content, GenerateResult, StreamPart } from "./types.js";

/** Builds the result of a stream from its parts, so that a stream and a generated answer are stored alike. */
export class Collector {
  readonly #content: Content[] = [];
  readonly #open = new Map<string, Content & { type: "text" | "reasoning" }>();
  #warnings: GenerateResult["warnings"] = [];
  #response: GenerateResult["response"];
  #finish: (StreamPart & { type: "finish" }) | undefined;
  #whole = true;

  add(part: StreamPart): void {
    switch (part.type) {
      case "stream-start":
        this.#warnings = part.warnings;
        break;
      case "response-metadata": {
        const { type: _type, ...metadata } = part;
        this.#response = { ...this.#response, ...metadata };
        break;
      }
      case "text-start":
      case "reasoning-start": {
        const block = { type: part.type === "text-start" ? ("text" as const) : ("reasoning" as const), text: "" };
        this.#open.set(`${block.type}:${part.id}`, block);
        this.#content.push(block);
        this.#note(block, part);
        break;
      }
      case "text-delta":
      case "reasoning-delta":
      case "text-end":
      case "reasoning-end": {
        const block = this.#open.get(`${part.type.split("-")[0]}:${part.id}`);
        if (block === undefined) {
          this.#whole = false;
          break;
        }
        if ("delta" in part) block.text += part.delta;
        if ("citations" in part && part.citations !== undefined) Object.assign(block, { citations: part.citations });
        this.#note(block, part);
        break;
      }
      case "file":
      case "source":
      case "reasoning-file":
      case "custom":
        this.#content.push(part);
        break;
      case "finish":
        this.#finish = part;
        break;
      case "raw":
      case "ping":
        break;
      default:
        // An error, a tool's part, or a part that this version does not know: the result would not be the whole answer.
        this.#whole = false;
    }
  }

  /** The result, or undefined if the stream had an error, a tool's part, or no end. */
  result(): GenerateResult | undefined {
    if (!this.#whole || this.#finish === undefined) return undefined;
    const { finishReason, usage, providerMetadata } = this.#finish;
    return {
      content: this.#content,
      finishReason,
      usage,
      warnings: this.#warnings,
      ...(this.#response === undefined ? {} : { response: this.#response }),
      ...(providerMetadata === undefined ? {} : { providerMetadata }),
    };
  }

  /** The last metadata of a block counts, as in the AI SDK. */
  #note(
    block: Content & { type: "text" | "reasoning" },
    part: { providerMetadata?: typeof block.providerMetadata },
  ): void {
    if (part.providerMetadata !== undefined) block.providerMetadata = part.providerMetadata;
  }
}
