import type { Reason } from "./report.js";

/** What providers call the end of a complete answer: OpenAI, the AI SDK, Anthropic, Bedrock, Gemini, Cohere. */
const COMPLETE = new Set(["stop", "end_turn", "stop_sequence", "complete", "completed", "eos", "eos_token"]);

/** The cache does not serve a response that starts like these. */
const FAILURES = ["[LLM Error]", "[ERROR]"];

/** Whether a finish reason says that the model ended its answer by itself. */
export function isComplete(finishReason: string): boolean {
  return COMPLETE.has(finishReason.toLowerCase());
}

/** Why the text of an answer must not be stored, or undefined. */
export function refusedText(text: string): Reason | undefined {
  const visible = text.trim();
  if (visible === "") return "blank";
  return FAILURES.some((start) => visible.startsWith(start)) ? "failure" : undefined;
}
