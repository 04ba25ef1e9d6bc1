/**
 * The client has every operation, field and error of openapi.yaml, so that a new one is not forgotten. The types of the
 * maps below come from openapi.yaml: without an operation or an error that it has, this file does not compile.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type CalibrateRequest,
  CheckpointError,
  EmbedderDimensionError,
  EmbedderError,
  EmbedderMismatchError,
  type EntryRequest,
  EntryTooLarge,
  IdempotentParameterMismatch,
  InsufficientScope,
  Internal,
  InvalidRequest,
  type LookupRequest,
  Mneme,
  type MnemeError,
  NamespaceForbidden,
  NotCached,
  NotFound,
  type StatsRange,
  StoreBackendError,
  Unauthorized,
  UnsupportedContentEncoding,
  UpstreamError,
  type VacuumRequest,
} from "mneme-lambda";
import type { components, operations } from "../dist/schema.js";

type Schemas = components["schemas"];

/** What clients of OpenAI and browsers send. */
type OtherPrograms = "createChatCompletion" | "createEmbeddings" | "listModels" | "console";

/** The methods that send an operation. */
const METHODS: Record<Exclude<keyof operations, OtherPrograms>, readonly (keyof Mneme)[]> = {
  lookup: ["lookup", "lookupMany"],
  releaseLease: ["release"],
  giveFeedback: ["feedback"],
  putEntries: ["put", "putMany"],
  listEntries: ["list", "entries"],
  getEntry: ["get"],
  updateEntry: ["update"],
  deleteEntry: ["delete"],
  deleteEntries: ["delete", "deleteTagged"],
  touchEntry: ["touch"],
  listNamespaces: ["namespaces"],
  clearAll: ["clearAll"],
  clearNamespace: ["clear"],
  findEntry: ["find"],
  getQuota: ["quota"],
  setQuota: ["setQuota"],
  deleteQuota: ["deleteQuota"],
  getSettings: ["settings"],
  setSettings: ["setSettings"],
  deleteSettings: ["deleteSettings"],
  listSettings: ["listSettings"],
  listMeta: ["listMeta"],
  getMeta: ["meta"],
  setMeta: ["setMeta"],
  deleteMeta: ["deleteMeta"],
  stats: ["stats", "statsBy"],
  health: ["health"],
  vacuum: ["vacuum"],
  calibrate: ["calibrate"],
  reembed: ["reembed"],
  snapshot: ["snapshot"],
  restore: ["restore"],
};

type NameOf<Schema> = Schema extends { type?: `urn:mneme:error:${infer Name}` } ? Name : never;
/** The names in the types of problems; `string` is that of `Problem` itself. */
type ErrorName = { [Key in keyof Schemas]: string extends NameOf<Schemas[Key]> ? never : NameOf<Schemas[Key]> };

type ErrorClass = new (facts: { detail: string; remediation: string }) => MnemeError;

const ERRORS: Record<ErrorName[keyof Schemas], ErrorClass> = {
  CheckpointError,
  EmbedderDimensionError,
  EmbedderError,
  EmbedderMismatchError,
  EntryTooLarge,
  IdempotentParameterMismatch,
  InsufficientScope,
  Internal,
  InvalidRequest,
  NamespaceForbidden,
  NotCached,
  NotFound,
  StoreBackendError,
  Unauthorized,
  UnsupportedContentEncoding,
  UpstreamError,
};

type KeysOfUnion<T> = T extends unknown ? keyof T : never;
type Query<Id extends keyof operations> = NonNullable<operations[Id]["parameters"]["query"]>;
/** The fields of openapi.yaml that a request of the client lacks. */
interface Missing {
  lookup: Exclude<keyof Schemas["LookupRequest"], KeysOfUnion<LookupRequest>>;
  entry: Exclude<keyof Schemas["EntryRequest"], KeysOfUnion<EntryRequest>>;
  calibrate: Exclude<keyof Schemas["CalibrateRequest"], keyof CalibrateRequest>;
  vacuum: Exclude<keyof Schemas["VacuumRequest"], keyof VacuumRequest>;
  list: Exclude<keyof Query<"listEntries">, keyof NonNullable<Parameters<Mneme["list"]>[0]>>;
  stats: Exclude<keyof Query<"stats">, keyof StatsRange | "by">;
}
type None<T extends Record<keyof T, never>> = T;
export type NothingIsMissing = None<Missing>;

test("every operation of openapi.yaml has its methods", () => {
  const methods = Object.values(METHODS).flat();
  for (const name of methods) assert.equal(typeof Mneme.prototype[name], "function", name);
});

test("every error of openapi.yaml is thrown as the class of its name", async () => {
  for (const [name, kind] of Object.entries(ERRORS)) {
    const problem = { type: `urn:mneme:error:${name}`, title: "t", status: 418, detail: "d", remediation: "r" };
    const fetch = async () => Response.json(problem, { status: 418 });
    const mneme = new Mneme({ url: "http://127.0.0.1", fetch, retries: 0 });
    await assert.rejects(mneme.lookup("a"), (error) => error instanceof kind && error.name === name);
  }
});
