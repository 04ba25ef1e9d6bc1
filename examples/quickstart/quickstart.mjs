import { Mneme } from "mneme-lambda";

const mneme = new Mneme({ url: process.env.MNEME_URL ?? "http://127.0.0.1:3000", namespace: "quickstart" });

async function ask(question) {
  // If the cache fails, the model answers. Put your own call of a model here, for example OpenAI's or Anthropic's.
  const { text, source } = await mneme.getOrCall(question, async () => `An answer to: ${question}`);
  console.log(source, text);
}

await ask("How do I reset my password?"); // model
await ask("how do I  RESET my password?"); // cache
