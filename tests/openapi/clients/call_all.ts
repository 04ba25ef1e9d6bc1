// Calls every operation through openapi-fetch, with the types that openapi-typescript made of openapi.yaml.
//
// Usage: node call_all.js URL. The cache behind the URL is empty. Each reply must have the expected status.

import createClient from "openapi-fetch";
import type { paths } from "./api";

const client = createClient<paths>({ baseUrl: process.argv[2] });
const namespace = "default";
const hash = "8e35c2cd3bf6641bdb0e2050b76932cbb2e6034a0ddacc1d9bea82a6ba57f7cf";
const pair = { a: {}, b: {}, similarity: 0.9, same: true };
let called = 0;
let failed = 0;

async function expect(name: string, status: number, call: Promise<{ response: Response; error?: unknown }>) {
  const { response, error } = await call;
  called += 1;
  if (response.status !== status) {
    failed += 1;
    console.log(`FAILED ${name}: ${response.status} ${JSON.stringify(error)}`);
  }
}

async function main() {
  const entry = { query: "q", response: "r", embedding: [1, 0, 0] };
  await expect("putEntries", 201, client.POST("/v1/entries", { body: entry }));
  await expect("putEntries", 200, client.POST("/v1/entries", { body: { entries: [entry], ttl_seconds: 60 } }));
  const { data } = await client.POST("/v1/lookup", { body: { query: "q" } });
  if (!data || !("outcome" in data) || data.outcome !== "hit" || data.response !== "r") {
    failed += 1;
    console.log(`FAILED lookup: ${JSON.stringify(data)}`);
  }
  const messages = [{ role: "user", content: "q" }];
  await expect("lookup", 200, client.POST("/v1/lookup", { body: { queries: [{ messages }] } }));
  await expect("giveFeedback", 200, client.POST("/v1/feedback", { body: { query: "s", id: 1, right: true } }));
  await expect("getEntry", 200, client.GET("/v1/entries/{id}", { params: { path: { id: 1 } } }));
  const found = { params: { path: { namespace, query_hash: hash } } };
  await expect("findEntry", 200, client.GET("/v1/namespaces/{namespace}/entries/{query_hash}", found));
  await expect("listEntries", 200, client.GET("/v1/entries", { params: { query: { limit: 10 } } }));
  await expect("touchEntry", 200, client.POST("/v1/entries/{id}/touch", { params: { path: { id: 1 } } }));
  const one = { params: { path: { id: 1 } } };
  await expect("updateEntry", 200, client.PATCH("/v1/entries/{id}", { ...one, body: { confidence_score: 0.9 } }));
  await expect("listNamespaces", 200, client.GET("/v1/namespaces"));
  const named = { params: { path: { namespace } } };
  const quota = "/v1/namespaces/{namespace}/quota";
  await expect("setQuota", 200, client.PUT(quota, { ...named, body: { max_entries: 9 } }));
  await expect("getQuota", 200, client.GET(quota, named));
  await expect("deleteQuota", 200, client.DELETE(quota, named));
  const settings = "/v1/namespaces/{namespace}/settings";
  await expect("setSettings", 200, client.PUT(settings, { ...named, body: { cutoff: 0.5 } }));
  await expect("getSettings", 200, client.GET(settings, named));
  await expect("listSettings", 200, client.GET("/v1/settings"));
  await expect("deleteSettings", 200, client.DELETE(settings, named));
  const key = { params: { path: { key: "guard:a" } } };
  await expect("setMeta", 200, client.PUT("/v1/meta/{key}", { ...key, body: { value: "off" } }));
  await expect("getMeta", 200, client.GET("/v1/meta/{key}", key));
  await expect("listMeta", 200, client.GET("/v1/meta"));
  await expect("deleteMeta", 200, client.DELETE("/v1/meta/{key}", key));
  await expect("stats", 200, client.GET("/v1/stats"));
  await expect("health", 200, client.GET("/v1/health"));
  await expect("console", 200, client.GET("/console", { parseAs: "text" }));
  await expect("vacuum", 200, client.POST("/v1/vacuum", { body: { namespace } }));
  // Pairs of one label only cannot be calibrated.
  await expect("calibrate", 400, client.POST("/v1/calibrate", { body: { pairs: Array(20).fill(pair) } }));
  await expect("reembed", 200, client.POST("/v1/reembed", { body: { action: "status" } }));
  await expect("snapshot", 501, client.POST("/v1/snapshot"));
  await expect("restore", 501, client.POST("/v1/restore"));
  await expect("releaseLease", 200, client.POST("/v1/lookup/release", { body: { query: "q", lease_token: "t" } }));
  await expect("deleteEntries", 200, client.POST("/v1/entries/delete", { body: { query: "q" } }));
  await expect("deleteEntry", 404, client.DELETE("/v1/entries/{id}", { params: { path: { id: 1 } } }));
  await expect("clearNamespace", 200, client.DELETE("/v1/namespaces/{namespace}", named));
  await expect("clearAll", 200, client.DELETE("/v1/namespaces", { params: { query: { confirm: "all" } } }));
  console.log(`TypeScript: ${called} calls, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main();
