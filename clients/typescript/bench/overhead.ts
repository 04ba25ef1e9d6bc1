/**
 * The time that the client adds to a lookup, beside a bare `fetch` with the same body: medians in milliseconds. The
 * server answers at once, in another thread. The two take turns, so that both see the same load of the machine.
 *
 * Usage: npm run bench
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { iam, type LookupRequest, Mneme, type MnemeOptions } from "mneme-lambda";

const ROUNDS = 5_000;
const WARM_UP = 1_000;
const HIT = JSON.stringify({
  outcome: "hit",
  layer: "exact",
  id: 7,
  namespace: "default",
  response: "Choose “Forgot password” on the sign-in page.",
  similarity: 1,
  confidence: 1,
  age_seconds: 12,
  metadata: {},
});

if (isMainThread) await main();
else serve();

function serve(): void {
  const server = createServer((request, response) => {
    request.resume().on("end", () => response.writeHead(200, { "content-type": "application/json" }).end(HIT));
  });
  server.listen(0, "127.0.0.1", () => parentPort?.postMessage((server.address() as AddressInfo).port));
}

async function main(): Promise<void> {
  const worker = new Worker(new URL(import.meta.url));
  const port = await new Promise<number>((resolve) => worker.once("message", resolve));
  const url = `http://127.0.0.1:${port}`;
  const question = { query: "How do I reset my password?", context: { model: "small", temperature: 0 } };
  const embedding = Float32Array.from({ length: 1_536 }, (_, index) => Math.sin(index));
  const credentials = { accessKeyId: "a", secretAccessKey: "b" };
  const cases: Record<string, [LookupRequest, Partial<MnemeOptions>]> = {
    "a question": [question, {}],
    "a question with 1,536 numbers": [{ ...question, embedding }, {}],
    "a question, signed": [question, { auth: iam({ credentials, region: "us-east-1" }) }],
  };
  for (const [name, [request, options]] of Object.entries(cases)) {
    const mneme = new Mneme({ url, ...options });
    const base64 = Buffer.from(embedding.buffer).toString("base64");
    const body = JSON.stringify("embedding" in request ? { ...question, embedding: base64 } : question);
    const bare = async () => {
      const headers = { "content-type": "application/json" };
      const reply = await fetch(`${url}/v1/lookup`, { method: "POST", headers, body });
      return reply.json();
    };
    const times: { bare: number[]; client: number[] } = { bare: [], client: [] };
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      const start = performance.now();
      await bare();
      const between = performance.now();
      await mneme.lookup(request);
      const end = performance.now();
      if (round < 0) continue;
      times.bare.push(between - start);
      times.client.push(end - between);
    }
    const [one, other] = [median(times.bare), median(times.client)];
    console.log(
      `${name}: fetch ${one.toFixed(3)} ms, client ${other.toFixed(3)} ms, added ${(other - one).toFixed(3)} ms`,
    );
  }
  await worker.terminate();
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
