import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type AwsCredentials,
  bearer,
  ConnectionLost,
  CredentialsMissing,
  GatewayError,
  iam,
  Mneme,
  TimedOut,
  TransportError,
  Unreachable,
} from "mneme-lambda";
import { client, DEAD, forward, stub } from "./support.js";

const HIT = { outcome: "hit", response: "r" };
const hit = { status: 200, body: JSON.stringify(HIT) };
const never = () => new Promise<never>(() => {});
const message = (text: string) => JSON.stringify({ message: text });

test("a cache that is down is Unreachable after the retries", async () => {
  const error = await client({ url: DEAD })
    .lookup("a")
    .catch((thrown: unknown) => thrown);
  assert.ok(error instanceof Unreachable && error instanceof TransportError);
  assert.match(error.detail, /127\.0\.0\.1:61999/);
});

test("a connection that breaks is ConnectionLost; a lookup is sent again and a delete is not", async () => {
  const server = await stub((request) => {
    request.socket.destroy();
    return never();
  });
  const mneme = new Mneme({ url: server.url, retries: 1 });
  await assert.rejects(mneme.delete(1), ConnectionLost);
  assert.equal(server.requests.length, 1);
  await assert.rejects(mneme.lookup("a"), ConnectionLost);
  assert.equal(server.requests.length, 3);
  server.stop();
});

test("a cache that does not answer is TimedOut, and the write is not sent again", async () => {
  const server = await stub(never);
  const mneme = new Mneme({ url: server.url });
  await assert.rejects(mneme.put({ query: "a", response: "b" }, { timeoutMs: 100 }), TimedOut);
  assert.equal(server.requests.length, 1);
  server.stop();
});

test("a provider of credentials that does not answer is TimedOut", async () => {
  const server = await stub(() => hit);
  const mneme = new Mneme({ url: server.url, timeoutMs: 100, auth: bearer(never) });
  await assert.rejects(mneme.lookup("a"), TimedOut);
  assert.equal(server.requests.length, 0);
  server.stop();
});

test("the caller's signal ends the call with its own reason", async () => {
  const server = await stub(never);
  const mneme = new Mneme({ url: server.url });
  const reason = new Error("the user left");
  const controller = new AbortController();
  const pending = mneme.lookup("a", { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(pending, reason);
  await assert.rejects(mneme.lookup("a", { signal: controller.signal }), reason);
  server.stop();
});

test("a throttled request is sent again, and then reaches the cache", async () => {
  const server = await stub((request, body, count) =>
    count < 3 ? { status: 429, body: message("Too Many Requests") } : forward(request, body),
  );
  const mneme = client({ url: server.url });
  assert.equal((await mneme.put({ query: "a", response: "b" })).created, true);
  assert.equal(server.requests.length, 3);
  server.stop();
});

test("Retry-After is waited for", async () => {
  let first = 0;
  let second = 0;
  const server = await stub((_request, _body, count) => {
    if (count > 1) {
      second = performance.now();
      return hit;
    }
    first = performance.now();
    return {
      status: 503,
      headers: { "retry-after": "1" },
      body: JSON.stringify({
        type: "urn:mneme:error:StoreBackendError",
        title: "",
        status: 503,
        detail: "d",
        remediation: "r",
      }),
    };
  });
  assert.equal((await new Mneme({ url: server.url }).lookup("a")).outcome, "hit");
  assert.ok(second - first >= 999);
  server.stop();
});

test("a Retry-After beyond the deadline fails at once, with the error and not as a time-out", async () => {
  const server = await stub(() => ({
    status: 503,
    headers: { "retry-after": "3600" },
    body: message("Service Unavailable"),
  }));
  await assert.rejects(new Mneme({ url: server.url }).lookup("a"), { name: "GatewayError", retryAfterSeconds: 3600 });
  assert.equal(server.requests.length, 1);
  server.stop();
});

test("a problem without Retry-After is not sent again, as trying again makes no sense", async () => {
  const body = JSON.stringify({
    type: "urn:mneme:error:StoreBackendError",
    title: "",
    status: 503,
    detail: "d",
    remediation: "r",
  });
  const server = await stub(() => ({ status: 503, body }));
  await assert.rejects(new Mneme({ url: server.url }).lookup("a"), { name: "StoreBackendError" });
  assert.equal(server.requests.length, 1);
  server.stop();
});

test("after a failure of the gateway a lookup is sent again and a delete is not", async () => {
  const server = await stub(() => ({ status: 502, body: message("Bad Gateway") }));
  const mneme = new Mneme({ url: server.url, retries: 2 });
  await assert.rejects(mneme.delete(1), GatewayError);
  assert.equal(server.requests.length, 1);
  await assert.rejects(mneme.lookup("a"), GatewayError);
  assert.equal(server.requests.length, 4);
  server.stop();
});

test("the retry budget limits the retries of many failing calls", async () => {
  const server = await stub(() => ({ status: 429, body: message("Too Many Requests") }));
  const mneme = new Mneme({ url: server.url, retries: 2 });
  const calls = 60;
  await Promise.allSettled(Array.from({ length: calls }, () => mneme.lookup("a")));
  // 20 retries are in the budget. Without it there would be 120.
  assert.equal(server.requests.length, calls + 20);
  server.stop();
});

test("a refused key is CredentialsRefused with the status and a remedy", async () => {
  const server = await stub(() => ({ status: 401, body: message("Unauthorized") }));
  const mneme = new Mneme({ url: server.url, auth: bearer("wrong") });
  await assert.rejects(mneme.lookup("a"), { name: "CredentialsRefused", status: 401, remediation: /auth/ });
  assert.equal(server.requests[0]?.headers.authorization, "Bearer wrong");
  assert.equal(server.requests.length, 1);
  server.stop();
});

test("a token that expired is asked for again after a refusal, once", async () => {
  const server = await stub((request) =>
    request.headers.authorization === "Bearer token-2" ? hit : { status: 401, body: message("Unauthorized") },
  );
  let asked = 0;
  const mneme = new Mneme({ url: server.url, auth: bearer(() => `token-${++asked}`) });
  assert.equal((await mneme.lookup("a")).outcome, "hit");
  assert.equal(asked, 2);
  await assert.rejects(mneme.lookup("a"), { name: "CredentialsRefused", status: 401 });
  assert.equal(asked, 4);
  server.stop();
});

/** A provider whose credentials live for `seconds`, and a server that accepts only the newest. */
async function rotating(seconds: number | undefined, accept: (key: string) => boolean) {
  let asked = 0;
  const server = await stub((request) =>
    accept(/Credential=([^/]+)/.exec(request.headers.authorization ?? "")?.[1] ?? "")
      ? hit
      : { status: 403, body: message("The security token included in the request is expired") },
  );
  const credentials = async (): Promise<AwsCredentials> => ({
    accessKeyId: `key${++asked}`,
    secretAccessKey: `secret${asked}`,
    sessionToken: "session",
    expiration: seconds === undefined ? undefined : new Date(Date.now() + seconds * 1_000),
  });
  const mneme = new Mneme({ url: server.url, auth: iam({ credentials, region: "eu-central-1" }) });
  return { mneme, server, asked: () => asked };
}

test("credentials are asked for once by many requests, and again shortly before they expire", async () => {
  const long = await rotating(3_600, (key) => key === "key1");
  await Promise.all(Array.from({ length: 20 }, () => long.mneme.lookup("a")));
  await long.mneme.lookup("a");
  assert.equal(long.asked(), 1);
  assert.equal(long.server.requests[0]?.headers["x-amz-security-token"], "session");
  const short = await rotating(60, () => true);
  await short.mneme.lookup("a");
  await short.mneme.lookup("a");
  assert.equal(short.asked(), 2);
  long.server.stop();
  short.server.stop();
});

test("credentials that were refused are replaced", async () => {
  const { mneme, server, asked } = await rotating(undefined, (key) => key !== "key1");
  assert.equal((await mneme.lookup("a")).outcome, "hit");
  assert.equal((await mneme.lookup("a")).outcome, "hit");
  assert.equal(asked(), 2);
  server.stop();
});

test("a provider that fails is CredentialsMissing with its error as cause", async () => {
  const cause = new Error("no profile");
  const auth = iam({ region: "eu-central-1", credentials: () => Promise.reject(cause) });
  await assert.rejects(client({ auth }).lookup("a"), { name: "CredentialsMissing", cause });
  const { AWS_ACCESS_KEY_ID } = process.env;
  delete process.env.AWS_ACCESS_KEY_ID;
  await assert.rejects(client({ auth: iam({ region: "eu-central-1" }) }).lookup("a"), CredentialsMissing);
  process.env.AWS_ACCESS_KEY_ID = "local";
  process.env.AWS_SECRET_ACCESS_KEY = "local";
  assert.equal((await client({ auth: iam({ region: "eu-central-1" }) }).lookup("a")).outcome, "miss");
  if (AWS_ACCESS_KEY_ID === undefined) delete process.env.AWS_ACCESS_KEY_ID;
});
