import type { LanguageModel } from "ai";
import { MockLanguageModelV4, simulateReadableStream } from "ai/test";

const usage = {
  inputTokens: { total: 9, noCache: 9, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 5, text: 5, reasoning: undefined },
};

/** A stand-in, which needs no key. Put your model here, for example `openai("gpt-5-mini")` of `@ai-sdk/openai`. */
export const model: Exclude<LanguageModel, string> = new MockLanguageModelV4({
  modelId: "stand-in",
  doStream: async ({ prompt }) => {
    console.log("model: called");
    const last = prompt.at(-1)?.content[0];
    const question = typeof last === "object" && last.type === "text" ? last.text : "";
    const isPoem = question.includes("poem");
    return {
      stream: simulateReadableStream({
        chunks: [
          { type: "stream-start", warnings: [] },
          { type: "text-start", id: "0" },
          { type: "text-delta", id: "0", delta: isPoem ? "Roses are red, " : "An answer to: " },
          { type: "text-delta", id: "0", delta: isPoem ? "violets" : question },
          { type: "text-end", id: "0" },
          { type: "finish", usage, finishReason: { unified: isPoem ? "length" : "stop", raw: undefined } },
        ],
      }),
    };
  },
});
