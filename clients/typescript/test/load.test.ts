import assert from "node:assert/strict";
import { test } from "node:test";
import { EntryTooLarge, type LookupRequest } from "mneme-lambda";
import { client, forward, namespace, stub } from "./support.js";

const UNICODE = [
  "Où est mon colis ? 📦",
  "我的包裹在哪里？",
  "أين طردي؟",
  'e\u0301 and é, \u202e, 𝒳, \u0000\u0007 and "\\/',
];

test("200 lookups and puts at once on one client all succeed", async () => {
  const mneme = client({ timeoutMs: 60_000 });
  await mneme.putMany(Array.from({ length: 20 }, (_, n) => ({ query: `Question ${n}?`, response: `Answer ${n}` })));
  const found = await Promise.all(Array.from({ length: 200 }, (_, n) => mneme.lookup(`question ${n % 20}?`)));
  found.forEach((result, n) => {
    assert.equal(result.outcome === "hit" && result.response, `Answer ${n % 20}`);
  });
});

test("Unicode and control characters survive in questions, answers, metadata and contexts", async () => {
  const mneme = client();
  for (const text of UNICODE) {
    const context = { [text]: text };
    await mneme.put({ query: text, context, response: text, metadata: { [text]: [text, null, 1.5] } });
    const found = await mneme.lookup({ query: text, context });
    assert.equal(found.outcome, "hit");
    assert.deepEqual([found.response, found.metadata], [text, { [text]: [text, null, 1.5] }]);
  }
});

test("an answer of almost 400 KB is stored and read back", async () => {
  const mneme = client();
  const response = 'ü"\\ '.repeat(75_000);
  await mneme.put({ query: "long", response });
  const found = await mneme.lookup("long");
  assert.equal(found.outcome === "hit" && found.response, response);
});

test("1,000 entries are stored in one request, and 250 questions are asked in three", async () => {
  const server = await stub(forward);
  const mneme = client({ url: server.url });
  const stored = await mneme.putMany(
    Array.from({ length: 1_000 }, (_, n) => ({ query: `Question ${n}?`, response: `${n}` })),
  );
  assert.deepEqual([stored.length, server.requests.length], [1_000, 1]);
  assert.ok(stored.every(({ value }) => value?.created));
  const found = await mneme.lookupMany(Array.from({ length: 250 }, (_, n) => `Question ${n}?`));
  found.forEach(({ value }, n) => {
    assert.equal(value?.outcome === "hit" && value.response, `${n}`);
  });
  assert.equal(server.requests.length, 4);
  server.stop();
});

test("a batch is split by bytes, counting quotes as the Lambda event does", async () => {
  const server = await stub(forward);
  const mneme = client({ url: server.url });
  // 12 answers of 390 KB, each quote of which takes four bytes in the event: \\\" for ".
  const response = '"'.repeat(390_000);
  const stored = await mneme.putMany(Array.from({ length: 12 }, (_, n) => ({ query: `Question ${n}?`, response })));
  assert.deepEqual([stored.length, stored.filter(({ error }) => error !== undefined)], [12, []]);
  assert.ok(server.requests.length > 1);
  server.stop();
});

test("answers that do not fit one reply are asked for again", async () => {
  const server = await stub(forward);
  const mneme = client({ url: server.url });
  const questions = Array.from({ length: 20 }, (_, n) => `Question ${n}?`);
  await mneme.putMany(questions.map((query, n) => ({ query, response: `${n} ${"x".repeat(380_000)}` })));
  const before = server.requests.length;
  const found = await mneme.lookupMany([...questions, "Unknown?"]);
  found.forEach(({ value }, n) => {
    assert.equal(value?.outcome === "hit" ? Number.parseInt(value.response, 10) : value?.outcome, n < 20 ? n : "miss");
  });
  assert.ok(server.requests.length - before > 1);
  server.stop();
});

test("a bad item has its own error and does not fail the others", async () => {
  const mneme = client();
  const stored = await mneme.putMany([
    { query: "a", response: "1" },
    { query: " ", response: "2" },
    { query: "c", response: "x".repeat(2_200_000) },
    { query: "d", response: "4" },
  ]);
  assert.deepEqual(
    stored.map(({ value, error }) => error?.name ?? value?.created),
    [true, "InvalidRequest", "EntryTooLarge", true],
  );
  const found = await mneme.lookupMany(["a", " ", "x".repeat(40_000), "d"]);
  assert.deepEqual(
    found.map(({ value, error }) => error?.name ?? value?.outcome),
    ["hit", "InvalidRequest", "EntryTooLarge", "hit"],
  );
  assert.ok(found[2]?.error instanceof EntryTooLarge);
});

test("items with namespaces of their own keep them in a batch", async () => {
  const [mine, theirs] = [namespace(), namespace()];
  const mneme = client({ namespace: mine });
  await mneme.putMany([
    { query: "a", response: "1" },
    { query: "a", response: "2", namespace: theirs },
  ]);
  const found = await mneme.lookupMany(["a", { query: "a", namespace: theirs } satisfies LookupRequest]);
  assert.deepEqual(
    found.map(({ value }) => value?.outcome === "hit" && [value.namespace, value.response]),
    [
      [mine, "1"],
      [theirs, "2"],
    ],
  );
});

test("if a later part of a batch fails, the stored ones are told from the others", async () => {
  const server = await stub((request, body, count) =>
    count === 1 ? forward(request, body) : { status: 403, body: '{"message":"Forbidden"}' },
  );
  const mneme = client({ url: server.url });
  const entries = Array.from({ length: 2_500 }, (_, n) => ({ query: `Question ${n}?`, response: `${n}` }));
  const stored = await mneme.putMany(entries);
  assert.equal(stored.length, entries.length);
  assert.equal(stored.filter(({ value }) => value?.created).length, 1_000);
  assert.equal(stored.filter(({ error }) => error?.name === "CredentialsRefused").length, 1_500);
  assert.equal(server.requests.length, 2);
  server.stop();
  await assert.rejects(client({ url: server.url }).putMany(entries), { name: "Unreachable" });
});

test("an empty batch sends nothing", async () => {
  const server = await stub(forward);
  const mneme = client({ url: server.url });
  assert.deepEqual([await mneme.putMany([]), await mneme.lookupMany([])], [[], []]);
  assert.equal(server.requests.length, 0);
  server.stop();
});
