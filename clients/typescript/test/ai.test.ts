import assert from "node:assert/strict";
import { test } from "node:test";
import { generateObject, generateText, jsonSchema, stepCountIs, streamObject, streamText, tool } from "ai";
import type { Mneme, MnemeEvent } from "mneme-lambda";
import { model, type Script, TIMESTAMP, USAGE } from "./model.js";
import { client, DEAD, stub } from "./support.js";

function layerOf({ providerMetadata }: { providerMetadata?: object | undefined }): unknown {
  return (providerMetadata as { mneme?: { layer?: string } } | undefined)?.mneme?.layer;
}

async function streamed(result: ReturnType<typeof streamText>) {
  let text = "";
  for await (const delta of result.textStream) text += delta;
  const { timestamp, id, modelId } = await result.response;
  return { text, finishReason: await result.finishReason, usage: await result.usage, timestamp, id, modelId };
}

test("generateText is stored once and served to generateText and streamText, with its Date", async () => {
  const mneme = client();
  const { model: wrapped, calls } = model(mneme, {});
  const first = await generateText({ model: wrapped, prompt: "How do I reset my password?" });
  const second = await generateText({ model: wrapped, prompt: "how do I RESET my password?" });
  const stream = await streamed(streamText({ model: wrapped, prompt: "How do I reset my password?" }));
  assert.equal(calls.length, 1);
  for (const hit of [second, { ...stream, response: stream }]) {
    assert.equal(hit.text, "Answer 1.");
    assert.equal(hit.finishReason, first.finishReason);
    assert.deepEqual(hit.usage, first.usage);
    assert.ok(hit.response.timestamp instanceof Date);
    assert.deepEqual(
      [hit.response.timestamp, hit.response.id, hit.response.modelId],
      [TIMESTAMP, "response-1", "small-2026"],
    );
  }
  assert.equal(first.providerMetadata?.mneme, undefined);
  assert.equal(layerOf(second), "exact");
  assert.deepEqual(second.providerMetadata?.stand, { in: 1 });
});

test("a stream is stored as the generated answer is, and replayed equal", async () => {
  const content = [
    { type: "reasoning", text: "They forgot it." },
    { type: "text", text: "Choose “Forgot password”." },
    { type: "source", sourceType: "url", id: "1", url: "https://example.com" },
    { type: "text", text: " Then follow the link." },
  ];
  const [one, two] = [client(), client()];
  const fromStream = model(one, { content });
  const missed = await streamed(streamText({ model: fromStream.model, prompt: "a" }));
  await generateText({ model: model(two, { content }).model, prompt: "a" });
  const stored = async (mneme: Mneme) => {
    for await (const { response } of mneme.entries()) return response ?? "";
    return assert.fail("nothing is stored");
  };
  assert.deepEqual(JSON.parse(await stored(one)), JSON.parse(await stored(two)));
  assert.doesNotMatch(await stored(two), /secret/);
  const replayed = await streamed(streamText({ model: fromStream.model, prompt: "a" }));
  assert.deepEqual(replayed, missed);
  const generated = await generateText({ model: fromStream.model, prompt: "a" });
  assert.deepEqual(
    [generated.text, generated.reasoningText],
    ["Choose “Forgot password”. Then follow the link.", "They forgot it."],
  );
  assert.equal(generated.sources.length, 1);
  assert.equal(fromStream.calls.length, 1);
});

test("every parameter that decides the answer separates answers", async () => {
  const mneme = client();
  const { model: wrapped, calls } = model(mneme, {}, { contextHeaders: ["X-Variant"] });
  const inputSchema = jsonSchema<{ city: string }>({ type: "object" });
  const weather = tool({ description: "Weather", inputSchema, execute: async () => "rain" });
  const variants: Partial<Parameters<typeof generateText>[0]>[] = [
    {},
    { temperature: 0 },
    { temperature: 0.5 },
    { topP: 0.5 },
    { topK: 5 },
    { maxOutputTokens: 10 },
    { presencePenalty: 0.5 },
    { frequencyPenalty: 0.5 },
    { stopSequences: ["x"] },
    { seed: 1 },
    { tools: { weather } },
    { tools: { weather }, toolChoice: "none" },
    { providerOptions: { standIn: { effort: "high" } } },
    { headers: { "x-variant": "b" } },
  ];
  for (const [index, variant] of variants.entries()) {
    const { text } = await generateText({ model: wrapped, prompt: "a", ...variant } as Parameters<
      typeof generateText
    >[0]);
    assert.equal(text, `Answer ${index + 1}.`, JSON.stringify(variant));
  }
  for (const variant of variants)
    await generateText({ model: wrapped, prompt: "a", ...variant } as Parameters<typeof generateText>[0]);
  // The second time each one is a hit. What does not decide the answer does not separate answers.
  await generateText({
    model: wrapped,
    prompt: "a",
    headers: { "x-request-id": "7" },
    maxRetries: 0,
    abortSignal: AbortSignal.timeout(60_000),
  });
  assert.equal(calls.length, variants.length);
  const large = model(mneme, { modelId: "large" });
  await generateText({ model: large.model, prompt: "a" });
  const german = model(mneme, {}, { context: { language: "de" } });
  await generateText({ model: german.model, prompt: "a" });
  assert.deepEqual([large.calls.length, german.calls.length], [1, 1]);
});

test("generateObject and streamObject share a stored object, and a text is not served for it", async () => {
  const mneme = client();
  const { model: wrapped, calls } = model(mneme, { content: [{ type: "text", text: '{"city":"Ghent"}' }] });
  const schema = jsonSchema<{ city: string }>({
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
  });
  const first = await generateObject({ model: wrapped, schema, prompt: "Where?" });
  const second = await generateObject({ model: wrapped, schema, prompt: "where?" });
  assert.deepEqual([first.object, second.object], [{ city: "Ghent" }, { city: "Ghent" }]);
  assert.ok(second.response.timestamp instanceof Date);
  const stream = streamObject({ model: wrapped, schema, prompt: "Where?" });
  for await (const _ of stream.partialObjectStream);
  assert.deepEqual(await stream.object, { city: "Ghent" });
  assert.equal(calls.length, 1);
  await generateText({ model: wrapped, prompt: "Where?" });
  assert.equal(calls.length, 2);
});

const NOT_STORED: [string, Script, string][] = [
  ["a truncated answer", { finish: "length" }, "unfinished"],
  ["a filtered answer", { finish: "content-filter" }, "unfinished"],
  ["a failed answer", { finish: "error" }, "unfinished"],
  ["another end", { finish: "other" }, "unfinished"],
  ["a blank answer", { content: [{ type: "text", text: " " }] }, "blank"],
  ["the text of a failure", { content: [{ type: "text", text: "[ERROR] x" }] }, "failure"],
];
for (const [what, script, reason] of NOT_STORED)
  test(`${what} is not stored, generated or streamed`, async () => {
    const events: MnemeEvent[] = [];
    const mneme = client({ onEvent: (event) => events.push(event) });
    const { model: wrapped, calls } = model(mneme, script);
    await generateText({ model: wrapped, prompt: "a" });
    await streamed(streamText({ model: wrapped, prompt: "a" }));
    assert.equal(calls.length, 2);
    const reasons = events.flatMap((event) => (event.type === "not_stored" ? [event.reason] : []));
    assert.deepEqual([reasons, mneme.counts.stored], [[reason, reason], 0]);
  });

test("text that is not JSON is not stored for a call that asks for JSON", async () => {
  const mneme = client();
  const { model: wrapped, calls } = model(mneme, { content: [{ type: "text", text: '{"city":' }] });
  const schema = jsonSchema({ type: "object" });
  for (const _ of [1, 2]) await assert.rejects(generateObject({ model: wrapped, schema, prompt: "a", maxRetries: 0 }));
  assert.deepEqual([calls.length, mneme.counts.stored], [2, 0]);
});

test("a tool call is not stored, and the answer after the tool's result is", async () => {
  const mneme = client();
  const call = { type: "tool-call", toolCallId: "1", toolName: "weather", input: '{"city":"Ghent"}' };
  const script = (number: number): Script =>
    number % 2 === 1 ? { content: [call], finish: "tool-calls" } : { content: [{ type: "text", text: "It rains." }] };
  const { model: wrapped, calls } = model(mneme, script);
  const tools = {
    weather: tool({ inputSchema: jsonSchema<{ city: string }>({ type: "object" }), execute: async () => "rain" }),
  };
  const ask = () => generateText({ model: wrapped, prompt: "Weather in Ghent?", tools, stopWhen: stepCountIs(3) });
  assert.equal((await ask()).text, "It rains.");
  assert.deepEqual([calls.length, mneme.counts.stored, mneme.counts.not_stored], [2, 1, 1]);
  assert.equal((await ask()).text, "It rains.");
  // The model decides anew to call the tool. The answer that follows from the same result is served.
  assert.deepEqual([calls.length, mneme.counts.hit], [3, 1]);
  const stream = streamText({ model: model(mneme, () => script(1)).model, prompt: "Weather in Ghent?", tools });
  await stream.consumeStream();
  assert.equal(mneme.counts.stored, 1);
});

test("a tool call is not stored, whatever the finish reason says", async () => {
  const mneme = client();
  const call = { type: "tool-call", toolCallId: "1", toolName: "weather", input: "{}" };
  const text = { type: "text", text: "Let me see." };
  const tools = { weather: tool({ inputSchema: jsonSchema<object>({ type: "object" }), execute: async () => "rain" }) };
  const { model: wrapped } = model(mneme, { content: [text, call], finish: "stop" });
  await generateText({ model: wrapped, prompt: "a", tools });
  await streamText({ model: wrapped, prompt: "a", tools }).consumeStream();
  assert.deepEqual([mneme.counts.stored, mneme.counts.not_stored], [0, 2]);
});

test("a stream with an error, without an end, or that nobody reads to its end is not stored", async () => {
  const mneme = client();
  const text = [
    { type: "text-start", id: "0" },
    { type: "text-delta", id: "0", delta: "Half an" },
  ];
  const finish = { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage: USAGE };
  const broken = [...text, { type: "error", error: new Error("overloaded") }, { type: "text-end", id: "0" }, finish];
  for (const parts of [broken, text, [...text, { type: "text-end", id: "0" }, { type: "of-a-later-version" }, finish]])
    await streamText({ model: model(mneme, { parts }).model, prompt: "a", onError: () => {} }).consumeStream({
      onError: () => {},
    });
  assert.equal(mneme.counts.stored, 0);
  const { model: wrapped } = model(mneme, {});
  const { stream } = await wrapped.doStream({ prompt: [{ role: "user", content: [{ type: "text", text: "a" }] }] });
  await stream.cancel();
  assert.equal(mneme.counts.stored, 0);
});

test("providerOptions.mneme leaves the cache out, names a namespace and a time to live, and does not separate answers", async () => {
  const mneme = client();
  const { model: wrapped, calls } = model(mneme, {});
  const ask = (settings: Record<string, string | number | boolean>) =>
    generateText({ model: wrapped, prompt: "a", providerOptions: { mneme: settings } });
  await ask({ ttl_seconds: 60 });
  await ask({});
  assert.equal(calls.length, 1);
  for await (const entry of mneme.entries()) assert.equal((entry.expires_at ?? 0) - (entry.created_at ?? 0), 60);
  await ask({ skip: true });
  assert.deepEqual([calls.length, mneme.counts.skipped], [2, 1]);
  await ask({ namespace: `${(await mneme.list()).entries[0]?.namespace}-other` });
  assert.equal(calls.length, 3);
});

test("mayStore decides after the other rules", async () => {
  const mneme = client();
  const { model: wrapped, calls } = model(mneme, {}, { mayStore: ({ content }) => content.length > 1 });
  for (const _ of [1, 2]) await generateText({ model: wrapped, prompt: "a" });
  assert.deepEqual([calls.length, mneme.counts.not_stored], [2, 2]);
});

test("with `embed`, a question in other words is served; a failing `embed` leaves the exact layer", async () => {
  const mneme = client();
  const embed = (text: string) => {
    if (text.includes("fail")) throw new Error("overloaded");
    return new Float32Array([0.9, text.length / 1_000, 0.2, 0.1]);
  };
  const { model: wrapped, calls } = model(mneme, {}, { embed });
  await generateText({ model: wrapped, prompt: "How do I reset my password?" });
  const found = await generateText({ model: wrapped, prompt: "How can I reset my password?" });
  assert.equal(layerOf(found), "semantic");
  assert.equal(calls.length, 1);
  for (const _ of [1, 2]) await generateText({ model: wrapped, prompt: "Why does it fail?" });
  assert.deepEqual([calls.length, mneme.counts.lookup_failed], [2, 2]);
});

test("pictures are compared exactly, and their bytes are not sent", async () => {
  const sent: string[] = [];
  const spying: typeof fetch = (input, init) => {
    sent.push(String(init?.body));
    return fetch(input, init);
  };
  const mneme = client({ fetch: spying });
  const { model: wrapped, calls } = model(mneme, {});
  const ask = (byte: number) =>
    generateText({
      model: wrapped,
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "file", data: new Uint8Array(100_000).fill(byte), mediaType: "image/png" },
          ],
        },
      ],
    });
  await ask(1);
  await ask(1);
  assert.equal(calls.length, 1);
  await ask(2);
  assert.equal(calls.length, 2);
  assert.ok(sent.every((body) => body.length < 5_000));
});

test("a stored answer of another form is not served", async () => {
  // The same question and context, as another client would store it.
  const bodies: string[] = [];
  const spying = client({
    fetch: (input, init) => {
      bodies.push(String(init?.body));
      return fetch(input, init);
    },
  });
  await generateText({ model: model(spying, {}).model, prompt: "b" });
  const { response: _response, ...question } = JSON.parse(bodies[1] ?? "");
  for (const response of ["a text", "{}", '{"format":"ai-sdk","result":{}}']) {
    await spying.put({ ...question, response });
    const { model: other } = model(spying, {});
    assert.equal((await generateText({ model: other, prompt: "b" })).text, "Answer 1.");
  }
  assert.equal(spying.counts.unusable, 3);
});

test("getOrCall reads what generateText returns", async () => {
  const plain = (script: Script) => model(client({ url: DEAD, retries: 0 }), script).model;
  const mneme = client();
  const half = await mneme.getOrCall("a", () => generateText({ model: plain({ finish: "length" }), prompt: "a" }));
  assert.deepEqual([half.text, half.not_stored], ["Answer 1.", "unfinished"]);
  const whole = await mneme.getOrCall("a", () => generateText({ model: plain({}), prompt: "a" }));
  assert.deepEqual([whole.text, whole.not_stored, whole.stored?.created], ["Answer 1.", null, true]);
  assert.equal((await mneme.getOrCall("a", () => assert.fail("a hit calls no model"))).text, "Answer 1.");
});

const FAILING = [
  ["is slow", () => new Promise<never>(() => {})],
  ["throttles", () => ({ status: 429 })],
  ["refuses the key", () => ({ status: 403 })],
] as const;
for (const [what, answer] of FAILING)
  test(`while the cache ${what}, generateText and streamText answer`, async () => {
    const server = await stub(answer);
    const mneme = client({ url: server.url, timeoutMs: 200 });
    const { model: wrapped } = model(mneme, {});
    assert.equal((await generateText({ model: wrapped, prompt: "a" })).text, "Answer 1.");
    assert.equal((await streamed(streamText({ model: wrapped, prompt: "a" }))).text, "Answer 2.");
    assert.deepEqual([mneme.counts.lookup_failed, mneme.counts.put_failed], [2, 2]);
    server.stop();
  });

test("while the cache is down, 50 streams at once answer", async () => {
  const { model: wrapped } = model(client({ url: DEAD }), {});
  const all = Array.from({ length: 50 }, () => streamed(streamText({ model: wrapped, prompt: "a" })));
  for (const { text } of await Promise.all(all)) assert.match(text, /^Answer \d+\.$/);
});
