import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { Mneme, type MnemeOptions } from "mneme-lambda";

/** The URL of the `mneme-local` that `run` started for all tests. Each test has its own namespaces. */
export const url = required("MNEME_URL");
/** The URL of its DynamoDB. */
export const dynamodb = required("MNEME_DYNAMODB");
/** The root of the repository. */
export const root = required("MNEME_ROOT");

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run clients/typescript/run`);
  return value;
}

let names = 0;
/** A namespace that no other test has. */
export function namespace(): string {
  names += 1;
  return `ts-${process.pid}-${names}`;
}

/** A client of the shared server, in a namespace of its own. It logs nothing. */
export function client(options: Partial<MnemeOptions> = {}): Mneme {
  return new Mneme({ url, namespace: namespace(), log: () => {}, ...options });
}

export interface Running {
  url: string;
  dynamodb: string;
  stop(): Promise<void>;
}

/** Starts another `mneme-local`, for tests that need a configuration of their own. */
export async function serve(environment: Record<string, string>, options: string[] = []): Promise<Running> {
  const fixed = ["serve", "--port", "0", "--binaries", `${root}/target/debug`];
  const store = options.includes("--dynamodb-endpoint") ? [] : ["--dynamodb-port", "0"];
  const child: ChildProcess = spawn(`${root}/target/debug/mneme-local`, [...fixed, ...store, ...options], {
    env: { ...process.env, AWS_LAMBDA_LOG_LEVEL: "ERROR", ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const ready = await new Promise<string>((resolve, reject) => {
    lines.on("line", (line) => line.startsWith("ready") && resolve(line));
    ended.then(() => reject(new Error("mneme-local ended before it was ready")));
  });
  const stop = async () => {
    child.kill("SIGINT");
    await ended;
  };
  return { url: part(ready, "api"), dynamodb: part(ready, "dynamodb"), stop };
}

function part(ready: string, name: string): string {
  const value = new RegExp(` ${name}=(\\S+)`).exec(ready)?.[1];
  if (value === undefined) throw new Error(`the ready line has no ${name}: ${ready}`);
  return value;
}

export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

/** A server in place of the API, for replies that `mneme-local` does not give. `answer` may never resolve. */
export async function stub(
  answer: (request: IncomingMessage, body: string, count: number) => Reply | Promise<Reply>,
): Promise<{
  url: string;
  requests: { path: string; body: string; headers: IncomingMessage["headers"] }[];
  stop(): void;
}> {
  const requests: { path: string; body: string; headers: IncomingMessage["headers"] }[] = [];
  const server: Server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    requests.push({ path: request.url ?? "", body, headers: request.headers });
    const reply = await answer(request, body, requests.length);
    response.writeHead(reply.status, { "content-type": "application/json", ...reply.headers }).end(reply.body ?? "{}");
  });
  // A test that fails before it stops the server must still end.
  server.unref().on("connection", (socket) => socket.unref());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, stop };
}

/** Passes a request on to the shared server. */
export async function forward(request: IncomingMessage, body: string): Promise<Reply> {
  const reply = await fetch(url + (request.url ?? ""), {
    method: request.method ?? "GET",
    headers: { "content-type": "application/json" },
    ...(body === "" ? {} : { body }),
  });
  const headers: Record<string, string> = { "content-type": reply.headers.get("content-type") ?? "application/json" };
  return { status: reply.status, headers, body: await reply.text() };
}

/** Nothing listens on this port: Linux gives it to no program that asks for any port. `fetch` refuses low ones itself. */
export const DEAD = "http://127.0.0.1:61999";
