import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { decodeEmbedding, encodeEmbedding, Mneme, NotFound } from "mneme-lambda";
import { client, namespace, stub, url } from "./support.js";

const QUESTION = "How do I reset my password?";
const ANSWER = "Choose “Forgot password” on the sign-in page.";
const VECTOR = [0.9, 0.1, 0.2, 0.1];

test("lookup after put returns a hit of the exact layer", async () => {
  const mneme = client();
  const stored = await mneme.put({ query: QUESTION, response: ANSWER, metadata: { source: "faq" }, ttl_seconds: 600 });
  assert.equal(stored.created, true);
  const found = await mneme.lookup("how do I  RESET my password?");
  assert.equal(found.outcome, "hit");
  // The type of `found` is now `Hit`, by its `outcome`.
  assert.deepEqual(
    [found.layer, found.id, found.response, found.metadata],
    ["exact", stored.id, ANSWER, { source: "faq" }],
  );
});

test("lookup of an unknown question returns a miss with its reason", async () => {
  const found = await client().lookup("What is the weather?");
  assert.deepEqual(found, { outcome: "miss", reason: "no_embedding", best_similarity: null });
});

test("put with if_absent keeps the entry, and says so", async () => {
  const mneme = client();
  const first = await mneme.put({ query: QUESTION, response: ANSWER });
  const kept = await mneme.put({ query: QUESTION, response: "other", if_absent: true });
  assert.deepEqual(kept, { id: first.id, created: false, kept: true });
  assert.equal((await mneme.get(first.id)).response, ANSWER);
});

test("put with a lease token ends the lease, and release gives it back", async () => {
  const mneme = client();
  const lease = { seconds: 900 };
  const lookup = async () => {
    const found = await mneme.lookup({ query: QUESTION, lease });
    assert.equal(found.outcome, "miss");
    return found.lease;
  };
  const first = await lookup();
  assert.deepEqual([first?.state, first?.seconds], ["granted", 900]);
  const other = await lookup();
  assert.deepEqual([other?.state, other?.token], ["held", undefined]);
  assert.equal(await mneme.release(QUESTION, "of nobody"), false);
  assert.equal(await mneme.release({ query: QUESTION }, first?.token ?? ""), true);
  const again = await lookup();
  await mneme.put({ query: QUESTION, response: ANSWER, lease_token: again?.token });
  assert.equal((await mneme.lookup({ query: QUESTION, lease })).outcome, "hit");
});

test("feedback bars an entry from a question, or makes it the answer", async () => {
  const mneme = client();
  const { id } = await mneme.put({ query: QUESTION, response: ANSWER });
  const asked = "Which bakeries are open?";
  assert.equal(await mneme.feedback(asked, id, true), "aliased");
  assert.equal((await mneme.lookup(asked)).outcome, "hit");
  assert.equal(await mneme.feedback({ query: asked }, id, false), "barred");
  assert.equal((await mneme.lookup(asked)).outcome, "miss");
  assert.equal(await mneme.feedback(QUESTION, id, true), "none");
});

test("lookup with a Float32Array, with numbers and with base64 finds the same entry by similarity", async () => {
  const mneme = client();
  const { id } = await mneme.put({ query: QUESTION, response: ANSWER, embedding: new Float32Array(VECTOR) });
  const near = [0.88, 0.12, 0.2, 0.1];
  const base64 = Buffer.from(new Float32Array(near).buffer).toString("base64");
  for (const embedding of [new Float32Array(near), near, base64]) {
    const found = await mneme.lookup({ query: "How can I reset my password?", embedding });
    assert.equal(found.outcome, "hit");
    assert.deepEqual([found.layer, found.id], ["semantic", id]);
  }
});

test("embeddings of every length are encoded as base64, and decoded again", () => {
  for (const length of [0, 1, 2, 3, 4, 1_536]) {
    const numbers = Float32Array.from({ length }, (_, index) => Math.sin(index + 1));
    const base64 = encodeEmbedding(numbers);
    assert.equal(base64, Buffer.from(numbers.buffer).toString("base64"));
    assert.deepEqual(decodeEmbedding(base64), numbers);
  }
});

test("get returns the entry with its embedding, which has length 1", async () => {
  const mneme = client();
  const { id } = await mneme.put({ query: QUESTION, response: ANSWER, embedding: VECTOR });
  const entry = await mneme.get(id);
  assert.deepEqual([entry.id, entry.query, entry.response], [id, QUESTION, ANSWER]);
  const numbers = decodeEmbedding(entry.embedding ?? "");
  const length = Math.hypot(...VECTOR);
  VECTOR.forEach((number, index) => {
    assert.ok(Math.abs((numbers[index] ?? 0) - number / length) < 1e-6);
  });
});

test("find returns the entry of a question's hash, in a namespace with slashes and blanks", async () => {
  const mneme = client({ namespace: `${namespace()}/a b/ü?#%` });
  const { id } = await mneme.put({ query: "hello there", response: ANSWER });
  const hash = createHash("sha256").update("hello there").digest("hex");
  assert.equal((await mneme.find(hash)).id, id);
  await assert.rejects(mneme.find(hash, namespace()), NotFound);
});

test("a conversation with a context meets only the same context", async () => {
  const mneme = client();
  const messages = [
    { role: "system", content: "Answer in one sentence." },
    { role: "user", content: QUESTION },
  ];
  await mneme.put({ messages, context: { model: "small" }, response: ANSWER });
  assert.equal((await mneme.lookup({ messages, context: { model: "small" } })).outcome, "hit");
  assert.equal((await mneme.lookup({ messages, context: { model: "large" } })).outcome, "miss");
});

test("bypass, threshold and guard are passed on", async () => {
  const mneme = client();
  await mneme.put({ query: QUESTION, response: ANSWER, embedding: VECTOR });
  const bypassed = await mneme.lookup({ query: QUESTION, bypass: true });
  assert.deepEqual([bypassed.outcome, bypassed.outcome === "miss" && bypassed.reason], ["miss", "bypass"]);
  const strict = { query: "How can I reset my password?", embedding: [0.8, 0.3, 0.2, 0.1], threshold: 0.999 };
  const missed = await mneme.lookup({ ...strict, guard: "on" });
  assert.deepEqual([missed.outcome, missed.outcome === "miss" && missed.reason], ["miss", "below_threshold"]);
});

test("entries iterates over all pages, and continues after an id", async () => {
  const mneme = client();
  const stored = await mneme.putMany(
    Array.from({ length: 7 }, (_, n) => ({ query: `Question ${n}?`, response: `${n}` })),
  );
  const ids = stored.map(({ value }) => value?.id ?? 0);
  const seen: number[] = [];
  for await (const { id } of mneme.entries({ limit: 2 })) seen.push(id);
  assert.deepEqual(seen, ids);
  let page = await mneme.list({ limit: 1_000 });
  while (page.entries.length === 0) page = await mneme.list({ cursor: page.cursor ?? "" });
  assert.equal(page.entries[0]?.query, "Question 0?");
  const later: number[] = [];
  for await (const { id } of mneme.entries({ limit: 2, after_id: ids[2] })) later.push(id);
  assert.deepEqual(later, ids.slice(3));
  const used: number[] = [];
  for await (const { id } of mneme.entries({ limit: 3, order: "lru" })) used.push(id);
  assert.deepEqual(
    used.sort((a, b) => a - b),
    ids,
  );
});

test("entries without a namespace are those of the client's, and null means all", async () => {
  const one = client();
  const other = client();
  await one.put({ query: "a", response: "1" });
  const { id } = await other.put({ query: "b", response: "2" });
  const mine: string[] = [];
  for await (const entry of one.entries()) mine.push(entry.response ?? "");
  assert.deepEqual(mine, ["1"]);
  const all: number[] = [];
  for await (const entry of one.entries({ namespace: null, after_id: id - 1 })) all.push(entry.id);
  assert.ok(all.includes(id));
});

test("entries with filters are those that pass them, with the fields that were asked for", async () => {
  const mneme = client();
  await mneme.put({ query: "How do I pay?", response: "1", metadata: { source: "faq" } });
  const { id } = await mneme.put({
    query: QUESTION,
    response: "2",
    tags: ["a b&c"],
    metadata: { source: "chat & co", "a&b=c": "x" },
  });
  for (const filter of [
    { text: "RESET my" },
    { tag: "a b&c" },
    { metadata: { source: "chat & co" } },
    { metadata: { "a&b=c": "x" } },
  ]) {
    const found: object[] = [];
    for await (const entry of mneme.entries({ ...filter, limit: 1, fields: ["query"] })) found.push(entry);
    assert.deepEqual(found, [{ id, query: QUESTION }]);
  }
  const { created_at } = await mneme.get(id);
  assert.deepEqual((await mneme.list({ created_before: created_at - 60, used_since: 0 })).entries, []);
  const all = await mneme.list({ created_since: created_at - 60, used_before: created_at + 60 });
  assert.equal(all.entries.length, 2);
});

test("lookup with tags is answered by entries that have them", async () => {
  const mneme = client();
  await mneme.put({ query: QUESTION, response: ANSWER, tags: ["doc:handbook", "de"] });
  const found = await mneme.lookup({ query: QUESTION, tags: ["de"] });
  assert.deepEqual(found.outcome === "hit" && found.tags, ["de", "doc:handbook"]);
  const missed = await mneme.lookup({ query: QUESTION, tags: ["fr"] });
  assert.equal(missed.outcome === "miss" && missed.reason, "missing_tag");
});

test("deleteTagged deletes the entries of the tag alone", async () => {
  const mneme = client();
  const other = namespace();
  await mneme.putMany([1, 2, 3].map((n) => ({ query: `${n}`, response: "a", tags: [n === 2 ? "new" : "old"] })));
  await mneme.put({ query: "elsewhere", response: "a", tags: ["old"], namespace: other });
  assert.equal(await mneme.deleteTagged("old"), 2);
  assert.equal(await mneme.deleteTagged("old"), 0);
  assert.deepEqual(
    (await mneme.list({ limit: 1_000 })).entries.map(({ query }) => query),
    ["2"],
  );
  assert.equal(await mneme.deleteTagged("old", other), 1);
});

test("deleteTagged and listSettings continue until nothing is left", async () => {
  const replies = [
    { deleted_entries: 2_000, cursor: "1.2.3" },
    { deleted_entries: 5, cursor: null },
    { namespaces: [{ namespace: "a" }], cursor: "a&b" },
    { namespaces: [{ namespace: "b" }], cursor: null },
  ];
  const seen: string[] = [];
  const server = await stub((request, body, count) => {
    seen.push(`${request.url} ${body}`);
    return { status: 200, body: JSON.stringify(replies[count - 1]) };
  });
  const mneme = new Mneme({ url: server.url });
  assert.equal(await mneme.deleteTagged("old"), 2_005);
  const names: string[] = [];
  for await (const { namespace } of mneme.listSettings()) names.push(namespace);
  assert.deepEqual(names, ["a", "b"]);
  assert.deepEqual(seen, [
    '/v1/entries/delete {"namespace":"default","tag":"old"}',
    '/v1/entries/delete {"namespace":"default","tag":"old","cursor":"1.2.3"}',
    "/v1/settings?limit=1000 ",
    "/v1/settings?limit=1000&cursor=a%26b ",
  ]);
  server.stop();
});

test("put keeps what the answer cost, and update changes what is named alone", async () => {
  const mneme = client();
  const usage = { prompt_tokens: 12, completion_tokens: 34, model: "small", latency_ms: 560 };
  const { id } = await mneme.put({ query: QUESTION, response: "old", metadata: { a: 1 }, usage, ttl_seconds: 600 });
  const before = await mneme.get(id);
  assert.deepEqual(before.usage, usage);
  const changed = await mneme.update(id, { response: "new", confidence_score: 0.5 });
  assert.deepEqual(changed, { ...before, response: "new", confidence_score: 0.5 });
  assert.deepEqual(await mneme.get(id), changed);
  assert.deepEqual((await mneme.update(id, { tags: ["b", "a"] })).tags, ["a", "b"]);
  assert.equal((await mneme.update(id, { never_expires: true })).expires_at, null);
  await assert.rejects(mneme.update(999_999_999, { response: "new" }), NotFound);
});

test("lookup with explain says why", async () => {
  const mneme = client();
  const { id } = await mneme.put({ query: QUESTION, response: ANSWER, embedding: VECTOR });
  const hit = await mneme.lookup({ query: "I forgot my password", embedding: VECTOR, explain: true });
  assert.deepEqual([hit.explanation?.candidates[0]?.id, hit.explanation?.candidates[0]?.served], [id, true]);
  assert.equal((await mneme.lookup(QUESTION)).explanation, undefined);
});

test("touch records an access", async () => {
  const mneme = client();
  const { id } = await mneme.put({ query: "a", response: "1" });
  assert.deepEqual(await mneme.touch(id), { touched: true, id });
  assert.equal((await mneme.get(id)).access_count, 1);
});

test("delete removes an entry by its id, by its text and by its conversation", async () => {
  const mneme = client();
  const first = await mneme.put({ query: "a", response: "1" });
  const second = await mneme.put({ query: "b", response: "2" });
  const messages = [{ role: "user", content: "c" }];
  const third = await mneme.put({ messages, context: { model: "m" }, response: "3" });
  assert.deepEqual(await mneme.delete(first.id), { deleted: true, id: first.id });
  assert.equal((await mneme.delete("B")).id, second.id);
  assert.equal((await mneme.delete({ messages, context: { model: "m" }, embedding: VECTOR })).id, third.id);
  await assert.rejects(mneme.get(first.id), NotFound);
});

test("namespaces, clear and stats concern the namespace", async () => {
  const name = namespace();
  const mneme = client({ namespace: name });
  await mneme.put({ query: "a", response: "1" });
  await mneme.put({ query: "b", response: "2" });
  assert.deepEqual(
    (await mneme.namespaces()).find((one) => one.namespace === name),
    { namespace: name, entries: 2 },
  );
  assert.equal((await mneme.stats()).entries, 2);
  assert.equal((await mneme.stats(null)).namespace, null);
  assert.equal(await mneme.clear(name), 2);
  assert.equal((await mneme.stats()).entries, 0);
});

test("a quota is set, read, removed, and then not found", async () => {
  const mneme = client();
  assert.equal((await mneme.setQuota(5)).max_entries, 5);
  assert.equal((await mneme.quota()).max_entries, 5);
  await mneme.deleteQuota();
  await assert.rejects(mneme.quota(), NotFound);
});

test("settings are set, read, listed, removed, and purged with the namespace", async () => {
  const name = `${namespace()}/ß b`;
  const mneme = client({ namespace: name });
  const wanted = { threshold: 0.9, guard: "off", layers: "exact", max_entries: 7 } as const;
  const found = await mneme.setSettings(wanted);
  assert.deepEqual(await mneme.settings(), found);
  assert.deepEqual([found.namespace, found.settings.threshold, found.effective.max_entries], [name, 0.9, 7]);
  const listed: string[] = [];
  for await (const one of mneme.listSettings()) listed.push(one.namespace);
  assert.ok(listed.includes(name));
  await mneme.deleteSettings();
  await assert.rejects(mneme.deleteSettings(), NotFound);
  await mneme.setSettings(wanted);
  await mneme.clear(name);
  assert.equal((await mneme.settings()).effective.layers, "exact");
  await mneme.clear(name, { purge: true });
  assert.equal((await mneme.settings()).effective.layers, "all");
});

test("statsBy counts the lookups of a range by day", async () => {
  const name = namespace();
  const series = await client({ namespace: name }).statsBy("day", { from: 86_400, to: 3 * 86_400 });
  assert.deepEqual([series.namespace, series.from, series.to, series.by], [name, 86_400, 3 * 86_400, "day"]);
  assert.deepEqual([series.total.hits, series.total.hit_rate, series.periods], [0, null, []]);
  assert.equal((await client().statsBy("hour", { namespace: null })).namespace, null);
});

test("a meta value is set and read, with a key that needs encoding", async () => {
  const mneme = client();
  const key = `guard:${namespace()}/ä b+c`;
  await mneme.setMeta(key, "off");
  assert.equal(await mneme.meta(key), "off");
  await mneme.deleteMeta(key);
  await assert.rejects(mneme.meta(key), NotFound);
  assert.deepEqual(await mneme.listMeta(), {});
});

test("health, vacuum, calibrate and reembed answer", async () => {
  const mneme = new Mneme({ url });
  assert.equal((await mneme.health()).healthy, true);
  assert.equal(typeof (await mneme.vacuum({ namespace: namespace() })).examined, "number");
  const pairs = Array.from({ length: 20 }, (_, n) => ({
    a: { query: `How do I reset password ${n}?`, embedding: new Float32Array(n % 2 ? [1, 0] : [1, 0.1]) },
    b: {
      query: n % 2 ? `How can I reset password ${n}?` : "Where is my invoice?",
      embedding: n % 2 ? [1, 0.05] : [0.1, 1],
    },
    same: n % 2 === 1,
  }));
  assert.deepEqual((await mneme.calibrate({ pairs })).pairs, { same: 10, different: 10 });
  assert.equal((await mneme.reembed({ action: "status" })).phase, "none");
});
