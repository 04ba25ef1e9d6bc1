import { sha256 } from "../digest.js";
import type { Question } from "../types.js";

export const MEDIA = "media";

const ROLES: Record<string, string> = { System: "system", Human: "user", AI: "assistant" };
/** Where `getBufferString` of LangChain begins a message. */
const START = /^(System|Human|AI|Tool|Function): /m;
/** What `getBufferString` writes for a part that is no text. Two pictures have the same one. */
const MEDIA_PART = /\[(?:[a-z][a-z0-9_-]{2,}|text-plain file)\]/;
/** How the JSON of a call begins, which `getBufferString` adds to the text of an AI message. */
const CALL = /\{"(?:name|args|arguments|id|type)"\s*:/;
const CHAT_MODEL = '_model:"base_chat_model"';

export interface Asked {
  question: Question;
  /** The text that is embedded, or undefined if the question is only found by its exact text. */
  text: string | undefined;
}

/**
 * What LangChain asks a cache: a prompt as one text, and a key of the model and its parameters. The text of a chat is
 * parsed into messages. Returns `MEDIA` if the text does not identify the prompt, because it has media.
 */
export async function asked(prompt: string, llmKey: string, context: object): Promise<Asked | typeof MEDIA> {
  if (MEDIA_PART.test(prompt)) return MEDIA;
  const shared = { ...context, llm: await sha256(llmKey) };
  const messages = parse(prompt);
  if (messages === undefined && !llmKey.includes(CHAT_MODEL))
    return { question: { query: prompt, context: shared }, text: prompt };
  const last = messages?.at(-1);
  if (messages === undefined || last?.role !== "user" || messages.some(isLossy)) {
    // As texts, calls and results of tools would be compared by what they say. So the whole prompt must be equal.
    const digest = await sha256(prompt);
    return { question: { query: `sha256:${digest}`, context: { ...shared, prompt: digest } }, text: undefined };
  }
  return { question: { messages, context: shared }, text: last.content };
}

interface Message {
  /** Undefined for a tool. */
  role: string | undefined;
  content: string;
}

function parse(prompt: string): Message[] | undefined {
  const [before, ...rest] = prompt.split(START);
  if (before !== "" || rest.length === 0) return undefined;
  const messages: Message[] = [];
  for (let index = 0; index < rest.length; index += 2) {
    const content = (rest[index + 1] ?? "").replace(/\n$/, "");
    messages.push({ role: ROLES[rest[index] ?? ""], content });
  }
  return messages;
}

function isLossy({ role, content }: Message): boolean {
  return role === undefined || content.trim() === "" || (role === "assistant" && CALL.test(content));
}
