import { convertToModelMessages, streamText, type UIMessage, wrapLanguageModel } from "ai";
import { Mneme } from "mneme-lambda";
import { mnemeMiddleware } from "mneme-lambda/ai";
import { model } from "../../../lib/model.js";

// On AWS add `auth: iam()`: it signs the requests.
const mneme = new Mneme({
  url: process.env.MNEME_URL ?? "http://127.0.0.1:3000",
  namespace: "support",
  onEvent: ({ type }) => console.log(`cache: ${type}`),
});

const cached = wrapLanguageModel({ model, middleware: mnemeMiddleware(mneme) });

/** Answers a chat of `useChat` as a stream. */
export async function POST(request: Request): Promise<Response> {
  const { messages, user } = (await request.json()) as { messages: UIMessage[]; user?: string };
  const result = streamText({
    model: cached,
    system: "Answer in one sentence.",
    messages: await convertToModelMessages(messages),
    // An answer that depends on who asks does not go through the cache.
    providerOptions: { mneme: { skip: user !== undefined } },
  });
  return result.toUIMessageStreamResponse();
}
