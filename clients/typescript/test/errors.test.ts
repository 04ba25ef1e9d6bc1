import assert from "node:assert/strict";
import { test } from "node:test";
import * as exported from "mneme-lambda";
import {
  bearer,
  CheckpointError,
  EmbedderDimensionError,
  EmbedderError,
  EmbedderMismatchError,
  EntryTooLarge,
  GatewayError,
  IdempotentParameterMismatch,
  InsufficientScope,
  Internal,
  InvalidRequest,
  Mneme,
  MnemeError,
  NamespaceForbidden,
  NotFound,
  StoreBackendError,
  UnsupportedContentEncoding,
} from "mneme-lambda";
import { client, DEAD, dynamodb, namespace, serve, stub, url } from "./support.js";

const VECTOR = [0.9, 0.1, 0.2, 0.1];

type ErrorClass = new (...facts: never[]) => MnemeError;

/** Asserts the class, the status, and that the error says what happened and what to do. */
async function rejects(
  promise: Promise<unknown>,
  expected: ErrorClass,
  status: number | undefined,
): Promise<MnemeError> {
  const error = await promise.then(
    () => assert.fail(`no ${expected.name}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof expected, String(error));
  assert.equal(error.name, expected.name);
  assert.equal(error.status, status);
  assert.ok(error.detail.length > 5 && error.remediation.length > 5, error.message);
  return error;
}

test("a blank question is InvalidRequest", async () => {
  await rejects(client().lookup("  "), InvalidRequest, 400);
});

test("a missing entry is NotFound", async () => {
  await rejects(client().get(999_999_999), NotFound, 404);
});

test("a response above 400 KB is EntryTooLarge", async () => {
  await rejects(client().put({ query: "long", response: "x".repeat(2_200_000) }), EntryTooLarge, 413);
});

test("a vector of another length is EmbedderDimensionError", async () => {
  const mneme = client();
  await mneme.put({ query: "a", response: "1", embedding: VECTOR });
  await rejects(mneme.lookup({ query: "b", embedding: [1, 2] }), EmbedderDimensionError, 422);
});

test("snapshot and restore are CheckpointError", async () => {
  await rejects(client().snapshot(), CheckpointError, 501);
  await rejects(client().restore(), CheckpointError, 501);
});

test("a compressed body is UnsupportedContentEncoding", async () => {
  const compressing: typeof fetch = (input, init) =>
    fetch(input, { ...init, headers: { ...(init?.headers as Record<string, string>), "content-encoding": "gzip" } });
  await rejects(client({ fetch: compressing }).lookup("a"), UnsupportedContentEncoding, 415);
});

test("a namespace that the token does not list is NamespaceForbidden", async () => {
  const running = await serve({ MNEME_NAMESPACE_CLAIM: "namespaces", MNEME_NAMESPACE_CLAIM_FORM: "list" });
  try {
    const payload = Buffer.from(JSON.stringify({ namespaces: ["mine"] })).toString("base64url");
    const token = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.`;
    const mneme = new Mneme({ url: running.url, auth: bearer(async () => token) });
    await mneme.put({ query: "a", response: "1", namespace: "mine" });
    await rejects(mneme.lookup({ query: "a", namespace: "theirs" }), NamespaceForbidden, 403);
  } finally {
    await running.stop();
  }
});

test("a token without the scope of a put is InsufficientScope", async () => {
  const running = await serve({ MNEME_SCOPE_CLAIM: "scope" });
  try {
    const payload = Buffer.from(JSON.stringify({ scope: "mneme:read" })).toString("base64url");
    const mneme = new Mneme({ url: running.url, auth: bearer(`e30.${payload}.e30`) });
    assert.equal((await mneme.lookup("a")).outcome, "miss");
    await rejects(mneme.put({ query: "a", response: "1" }), InsufficientScope, 403);
  } finally {
    await running.stop();
  }
});

test("an idempotency key of another request is IdempotentParameterMismatch", async () => {
  const mneme = client();
  const idempotency_key = namespace();
  await mneme.put({ query: "a", response: "1", idempotency_key });
  await rejects(mneme.put({ query: "a", response: "2", idempotency_key }), IdempotentParameterMismatch, 409);
});

test("another embedder than the table's is EmbedderMismatchError, and health is a result", async () => {
  await client().put({ query: "a", response: "1", embedding: VECTOR });
  const running = await serve({ MNEME_EMBEDDER_DIM: "9" }, ["--dynamodb-endpoint", dynamodb]);
  try {
    const mneme = new Mneme({ url: running.url });
    await rejects(mneme.lookup("a"), EmbedderMismatchError, 409);
    const health = await mneme.health();
    assert.deepEqual([health.healthy, health.embedder_match], [false, false]);
    assert.ok(health.problems.length > 0);
  } finally {
    await running.stop();
  }
});

test("an embedder that cannot be reached is EmbedderError for a put, and a miss for a lookup", async () => {
  const running = await serve({ MNEME_EMBEDDER: `openai:model@${DEAD}/v1`, MNEME_EMBEDDER_DIM: "4" });
  try {
    const mneme = new Mneme({ url: running.url, retries: 0 });
    await rejects(mneme.put({ query: "a", response: "1" }), EmbedderError, 503);
    const missed = await mneme.lookup("a");
    assert.deepEqual([missed.outcome, missed.outcome === "miss" && missed.reason], ["miss", "embedder_failure"]);
  } finally {
    await running.stop();
  }
});

test("a table that cannot be reached is a miss of lookup, and StoreBackendError of put", async () => {
  const running = await serve({}, ["--dynamodb-endpoint", DEAD]);
  try {
    const mneme = new Mneme({ url: running.url, retries: 0, timeoutMs: 60_000 });
    assert.deepEqual(await mneme.lookup("a"), { outcome: "miss", reason: "unavailable", best_similarity: null });
    await rejects(mneme.put({ query: "a", response: "1" }), StoreBackendError, 503);
  } finally {
    await running.stop();
  }
});

test("Internal, and a name that this version does not know, keep what the cache said", async () => {
  const problem = (name: string) =>
    JSON.stringify({
      type: `urn:mneme:error:${name}`,
      title: "t",
      status: 500,
      detail: "a defect",
      remediation: "try again",
    });
  const server = await stub((_request, _body, count) => ({
    status: 500,
    body: problem(count === 1 ? "Internal" : "Newer"),
  }));
  const mneme = new Mneme({ url: server.url, retries: 0 });
  await rejects(mneme.lookup("a"), Internal, 500);
  const error = await mneme.lookup("a").catch((thrown: unknown) => thrown);
  assert.ok(error instanceof MnemeError);
  assert.deepEqual([error.name, error.detail, error.remediation], ["Newer", "a defect", "try again"]);
  server.stop();
});

test("a page in place of JSON is GatewayError", async () => {
  const server = await stub(() => ({ status: 200, body: "<html></html>" }));
  await rejects(new Mneme({ url: server.url }).lookup("a"), GatewayError, undefined);
  await rejects(new Mneme({ url: server.url }).putMany([{ query: "a", response: "b" }]), GatewayError, undefined);
  server.stop();
});

test("what a URL or JSON cannot express is InvalidRequest, before anything is sent", async () => {
  const mneme = client();
  for (const name of [".", "..", "", "half \ud83d"]) await rejects(mneme.clear(name), InvalidRequest, undefined);
  await rejects(mneme.meta(".."), InvalidRequest, undefined);
  await rejects(mneme.lookup({ query: "a", context: { n: 1n } }), InvalidRequest, undefined);
  await rejects(mneme.lookup({ query: "a", embedding: [1, Number.NaN] }), InvalidRequest, undefined);
  await rejects(mneme.lookup({ query: "a", embedding: [1, 1e300] }), InvalidRequest, undefined);
  for (const wrong of ["", "example.com", "ftp://example.com"])
    assert.throws(() => new Mneme({ url: wrong }), InvalidRequest);
  assert.throws(
    () => new Mneme({ url, auth: exported.iam({ credentials: { accessKeyId: "a", secretAccessKey: "b" } }) }),
    {
      name: "InvalidRequest",
      detail: /region/,
    },
  );
  for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
    assert.throws(() => new Mneme({ url, timeoutMs }), InvalidRequest);
    await rejects(mneme.lookup("a", { timeoutMs }), InvalidRequest, undefined);
  }
});
