// Drives unmodified Node clients through `mneme-local` to a fake upstream.
//
// Usage: node drive.mjs API UPSTREAM. Both are base URLs; API is without `/v1`.

import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";
import OpenAI from "openai";

const [api, upstream] = [`${process.argv[2]}/v1`, process.argv[3]];
const TEXT = "Grüße aus 東京 👋, says the model.";
const USAGE = 12;

const results = { passed: 0, failed: 0 };

function check(what, found, expected) {
  if (JSON.stringify(found) === JSON.stringify(expected)) {
    results.passed += 1;
  } else {
    results.failed += 1;
    console.log(`FAILED ${what}\n  found    ${JSON.stringify(found)}\n  expected ${JSON.stringify(expected)}`);
  }
}

/** The number of requests that the upstream has received. */
const calls = async () => Number(await (await fetch(new URL("/calls", upstream))).text());

async function driveOpenai() {
  const client = (baseURL) => new OpenAI({ baseURL, apiKey: "sk-test", maxRetries: 0 });
  const [cached, direct] = [client(api), client(upstream)];
  const comparable = (reply) => ({ ...reply, id: null, created: null });
  const sorted = (reply) => Object.fromEntries(Object.entries(comparable(reply)).sort());
  const ask = { model: "plain", messages: [{ role: "user", content: "node: whole first" }] };
  const texts = async (stream) => {
    let [text, usage] = ["", null];
    for await (const event of stream) {
      text += event.choices[0]?.delta.content ?? "";
      usage = event.usage?.total_tokens ?? usage;
    }
    return [text, usage];
  };
  const streamed = { stream: true, stream_options: { include_usage: true } };
  const expected = sorted(await direct.chat.completions.create(ask));
  let before = await calls();
  for (const at of ["stored", "hit"]) {
    const reply = sorted(await cached.chat.completions.create(ask));
    check(`openai, JSON, ${at}`, reply.choices[0].message.content, expected.choices[0].message.content);
    check(`openai, JSON, ${at}, members`, Object.keys(reply), Object.keys(expected));
  }
  check("openai, a stream of what was JSON", await texts(await cached.chat.completions.create({ ...ask, ...streamed })), [TEXT, USAGE]);
  check("openai, calls", (await calls()) - before, 1);
  for (const model of ["plain", "slow", "bytes"]) {
    const request = { model, messages: [{ role: "user", content: "node: stream first" }] };
    before = await calls();
    for (const at of ["stored", "hit"]) {
      const found = await texts(await cached.chat.completions.create({ ...request, ...streamed }));
      check(`openai, ${model}, stream, ${at}`, found, [TEXT, USAGE]);
    }
    check(`openai, ${model}, calls`, (await calls()) - before, 1);
  }
  for (const stream of [false, true]) {
    for (const model of ["long", "refusal", "tools", "limit", "cut"]) {
      before = await calls();
      for (const _ of [1, 2]) {
        try {
          const reply = await cached.chat.completions.create({ ...ask, model, stream });
          if (stream) await texts(reply);
          check(`openai, ${model}, stream ${stream}, is no error`, ["long", "refusal", "tools"].includes(model), true);
        } catch (error) {
          check(`openai, ${model}, stream ${stream}, is an error`, ["limit", "cut"].includes(model), true);
          if (model === "limit") check("openai, status of a limit", error.status, 429);
        }
      }
      check(`openai, ${model}, stream ${stream}, calls`, (await calls()) - before, 2);
    }
  }
}

async function driveVercel() {
  const provider = createOpenAI({ baseURL: api, apiKey: "sk-test" });
  for (const [model, first] of [["plain", "whole"], ["bytes", "stream"]]) {
    const before = await calls();
    const ask = { model: provider.chat(model), prompt: `vercel: ${first} first`, maxRetries: 0 };
    const whole = async () => (await generateText(ask)).text;
    const stream = async () => {
      let text = "";
      for await (const part of streamText(ask).textStream) text += part;
      return text;
    };
    const [a, b] = first === "whole" ? [whole, stream] : [stream, whole];
    check(`vercel, ${first}, stored`, await a(), TEXT);
    check(`vercel, ${first}, hit`, await a(), TEXT);
    check(`vercel, ${first}, hit in the other form`, await b(), TEXT);
    check(`vercel, ${first}, calls`, (await calls()) - before, 1);
  }
}

await driveOpenai();
await driveVercel();
console.log(`Node clients: ${results.passed} passed, ${results.failed} failed`);
process.exit(results.failed ? 1 : 0);
