import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { type AwsCredentials, iam, Mneme } from "mneme-lambda";
import { root } from "./support.js";

const PLAIN: AwsCredentials = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
};
const SESSION = { ...PLAIN, sessionToken: "token/with+signs==" };
const HOSTS = [
  { url: "https://abc123.execute-api.eu-central-1.amazonaws.com", credentials: PLAIN },
  { url: "https://abc123.execute-api.eu-central-1.amazonaws.com/prod/", credentials: SESSION },
  { url: "https://abc123.lambda-url.us-west-2.on.aws", credentials: SESSION },
];
// biome-ignore format: one line is easier to compare.
const NAMES = ["default", "a/b", "a b", "ü", "日本語", "a+b", "50%", "a%2Fb", "~-._", "!'()*", "a&b=c", "#?;:@$,", "📦", "..."];

interface Sent {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string | null;
  credentials: AwsCredentials;
}

/** What clients send: paths with slashes, blanks and Unicode, queries, and bodies. */
async function sent(): Promise<Sent[]> {
  const all: Sent[] = [];
  for (const { url, credentials } of HOSTS) {
    const recorder: typeof fetch = async (input, init) => {
      const { method = "GET", headers, body } = init ?? {};
      all.push({
        method,
        url: String(input),
        headers: headers as Record<string, string>,
        body: (body ?? null) as string | null,
        credentials,
      });
      return Response.json({ entries: [], cursor: null });
    };
    const mneme = new Mneme({ url, auth: iam({ credentials }), fetch: recorder });
    for (const name of NAMES) {
      await mneme.clear(name);
      await mneme.setMeta(name, name);
      await mneme.list({ namespace: name, cursor: `${name}+/= b`, limit: 7, order: "lru" });
    }
    await mneme.lookup({ query: "Où est mon colis ? 📦", namespace: "ü" });
    await mneme.put({ query: "a", response: "x".repeat(10_000) });
    await mneme.clearAll();
    await mneme.health();
  }
  return all;
}

/** Signs the same requests by botocore, with the time and the headers that the client signed. */
const BOTOCORE = `
import json, sys
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

for line in sys.stdin:
    case = json.loads(line)
    signer = botocore.auth.SigV4Auth(Credentials(*case["credentials"]), case["service"], case["region"])
    body = (case["body"] or "").encode()
    request = AWSRequest(case["method"], case["url"], headers=case["headers"], data=body)
    request.context["timestamp"] = case["time"]
    canonical = signer.canonical_request(request)
    print(json.dumps(signer.signature(signer.string_to_sign(request, canonical), request)))
`;

for (const [hashes, crypto] of Object.entries({ "node:crypto": process.getBuiltinModule, "Web Crypto": undefined }))
  test(`the signatures of 50 requests are those of botocore, with the hashes of ${hashes}`, async () => {
    const { getBuiltinModule } = process;
    Object.assign(process, { getBuiltinModule: crypto });
    try {
      await areThoseOfBotocore();
    } finally {
      Object.assign(process, { getBuiltinModule });
    }
  });

async function areThoseOfBotocore(): Promise<void> {
  const cases = [];
  for (const { credentials, ...request } of await sent()) {
    const { authorization = "", ...headers } = request.headers;
    const [, region, service, signed, signature] =
      /Credential=AKIDEXAMPLE\/\d{8}\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/.exec(
        authorization,
      ) ?? assert.fail(authorization);
    assert.equal(headers["x-amz-security-token"], credentials.sessionToken);
    const kept = Object.entries(headers).filter(([name]) => signed?.split(";").includes(name));
    assert.equal(kept.length + 1, signed?.split(";").length);
    const { accessKeyId, secretAccessKey, sessionToken = null } = credentials;
    cases.push({
      ...request,
      region,
      service,
      time: headers["x-amz-date"],
      signature,
      headers: Object.fromEntries(kept),
      credentials: [accessKeyId, secretAccessKey, sessionToken],
    });
  }
  assert.ok(cases.length >= 50);
  assert.deepEqual(
    new Set(cases.map(({ service, region }) => `${service} ${region}`)),
    new Set(["execute-api eu-central-1", "lambda us-west-2"]),
  );
  const input = cases.map((one) => JSON.stringify(one)).join("\n");
  const python = `${root}/target/clients-typescript/venv/bin/python`;
  const lines = execFileSync(python, ["-c", BOTOCORE], { input, encoding: "utf8" }).trim().split("\n");
  assert.equal(lines.length, cases.length);
  for (const [index, line] of lines.entries())
    assert.equal(JSON.parse(line), cases[index]?.signature, `${cases[index]?.method} ${cases[index]?.url}`);
}
