import assert from "node:assert/strict";
import { test } from "node:test";
import { generateText, type LanguageModel, streamText } from "ai";
import { model, type Script } from "./model.js";
import { client } from "./support.js";

const prompt = "How do I reset my password?";
const LEASE = { lease_seconds: 600 };

/** A client, and the requests that it sent: the last part of each path, and its body. */
function recording() {
  const sent: { path: string; body: Record<string, unknown> }[] = [];
  const recorder: typeof fetch = (input, init) => {
    const body = JSON.parse(String(init?.body)) as Record<string, unknown>;
    sent.push({ path: String(input).split("/").at(-1) ?? "", body });
    return fetch(input, init);
  };
  return { mneme: client({ fetch: recorder }), sent, paths: () => sent.map(({ path }) => path) };
}

test("calls with one question at once call the model once, generated and streamed", async () => {
  const mneme = client();
  const { model: wrapped, calls } = model(mneme, {}, LEASE);
  const texts = await Promise.all(
    Array.from({ length: 8 }, async (_, n) =>
      n % 2 ? (await generateText({ model: wrapped, prompt })).text : await streamText({ model: wrapped, prompt }).text,
    ),
  );
  assert.deepEqual(new Set(texts), new Set(["Answer 1."]));
  assert.equal(calls.length, 1);
  assert.deepEqual([mneme.counts.hit, mneme.counts.miss, mneme.counts.stored], [7, 1, 1]);
});

test("without lease_seconds no lease is asked for", async () => {
  const { mneme, sent } = recording();
  await generateText({ model: model(mneme, {}).model, prompt });
  assert.deepEqual(
    sent.map(({ body }) => [body.lease, body.lease_token]),
    [
      [undefined, undefined],
      [undefined, undefined],
    ],
  );
});

test("the put ends the lease", async () => {
  const asks = [
    async (wrapped: LanguageModel) => (await generateText({ model: wrapped, prompt })).text,
    async (wrapped: LanguageModel) => streamText({ model: wrapped, prompt }).text,
  ];
  for (const ask of asks) {
    const { mneme, sent, paths } = recording();
    assert.equal(await ask(model(mneme, {}, LEASE).model), "Answer 1.");
    assert.deepEqual(paths(), ["lookup", "entries"]);
    assert.match(String(sent[1]?.body.lease_token), /^[0-9a-f]{32}$/);
  }
});

const failing = (): Script => {
  throw new Error("the model failed");
};

test("a model that fails releases the lease", async () => {
  const { mneme, paths } = recording();
  const { model: wrapped } = model(mneme, failing, LEASE);
  await assert.rejects(generateText({ model: wrapped, prompt, maxRetries: 0 }));
  assert.deepEqual(paths(), ["lookup", "release"]);
  await streamText({ model: wrapped, prompt, maxRetries: 0, onError: () => {} }).consumeStream({ onError: () => {} });
  assert.deepEqual(paths(), ["lookup", "release", "lookup", "release"]);
});

test("an answer that is not stored releases the lease", async () => {
  const { mneme, paths } = recording();
  const { model: wrapped } = model(mneme, { finish: "length" }, LEASE);
  await generateText({ model: wrapped, prompt });
  await streamText({ model: wrapped, prompt }).text;
  assert.deepEqual(paths(), ["lookup", "release", "lookup", "release"]);
});

function* broken() {
  yield { type: "stream-start", warnings: [] };
  throw new Error("the connection ended");
}

test("a stream whose reader leaves, and one that breaks, release the lease", async () => {
  const { mneme, paths } = recording();
  const options = { prompt: [{ role: "user", content: [{ type: "text", text: prompt }] }] };
  type Streaming = { doStream(call: object): PromiseLike<{ stream: ReadableStream<unknown> }> };
  const left = await (model(mneme, {}, LEASE).model as unknown as Streaming).doStream(options);
  await left.stream.cancel();
  assert.deepEqual(paths(), ["lookup", "release"]);
  const { stream } = await (model(mneme, { parts: broken() }, LEASE).model as unknown as Streaming).doStream(options);
  await assert.rejects(stream.pipeTo(new WritableStream()), /connection ended/);
  assert.deepEqual(paths(), ["lookup", "release", "lookup", "release"]);
});
