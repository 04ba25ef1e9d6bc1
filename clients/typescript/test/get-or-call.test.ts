import assert from "node:assert/strict";
import { test } from "node:test";
import { type Completion, type MnemeEvent, type ModelResult, NotFound } from "mneme-lambda";
import { client, DEAD, stub } from "./support.js";

const QUESTION = "How do I reset my password?";

function chat(message: object, finish_reason: string) {
  return { choices: [{ message, finish_reason }] };
}
function response(items: object[], status: string) {
  return { object: "response" as const, output: items, status };
}
function output(text: string) {
  return { type: "message", content: [{ type: "output_text", text }] };
}
function converse(content: object[], stopReason: string) {
  return { stopReason, output: { message: { content } } };
}

test("the first call comes from the model and is stored, the second comes from the cache", async () => {
  const events: MnemeEvent["type"][] = [];
  const mneme = client({ onEvent: ({ type }) => events.push(type) });
  let calls = 0;
  const call = async () => `Answer ${++calls}`;
  const first = await mneme.getOrCall(QUESTION, call, { ttl_seconds: 60 });
  assert.deepEqual([first.text, first.source, first.lookup?.outcome], ["Answer 1", "model", "miss"]);
  assert.equal(first.stored?.created, true);
  const second = await mneme.getOrCall("how do I RESET my password?", call);
  assert.deepEqual([second.text, second.source, second.stored], ["Answer 1", "cache", null]);
  assert.equal(calls, 1);
  assert.deepEqual(events, ["miss", "stored", "hit"]);
  assert.deepEqual([mneme.counts.hit, mneme.counts.miss, mneme.counts.stored], [1, 1, 1]);
  const entry = await mneme.get(first.stored?.id ?? 0);
  assert.equal((entry.expires_at ?? 0) - entry.created_at, 60);
});

const REFUSED: [string, ModelResult, string][] = [
  ["a truncated answer of OpenAI", chat({ content: "Roses are" }, "length"), "unfinished"],
  ["a filtered answer of OpenAI", chat({ content: "I" }, "content_filter"), "unfinished"],
  ["a tool call of OpenAI", chat({ content: null, tool_calls: [{ id: "1" }] }, "tool_calls"), "tool_call"],
  ["a refusal of OpenAI", chat({ content: null, refusal: "No." }, "stop"), "refused"],
  [
    "one of two choices",
    { choices: [...chat({ content: "a" }, "stop").choices, ...chat({ content: "b" }, "stop").choices] },
    "unfinished",
  ],
  ["an incomplete response", response([output("I")], "incomplete"), "unfinished"],
  ["a response with a call", response([{ type: "function_call" }], "completed"), "tool_call"],
  [
    "a response with a refusal",
    response([{ type: "message", content: [{ type: "refusal" }] }], "completed"),
    "refused",
  ],
  ["Anthropic's max_tokens", { content: [{ type: "text", text: "I" }], stop_reason: "max_tokens" }, "unfinished"],
  [
    "a message of Anthropic that has not ended",
    { content: [{ type: "text", text: "I" }], stop_reason: null },
    "unfinished",
  ],
  ["Anthropic's tool use", { content: [{ type: "tool_use" }], stop_reason: "tool_use" }, "tool_call"],
  ["Converse's guardrail", converse([{ text: "I" }], "guardrail_intervened"), "unfinished"],
  ["Converse's tool use", converse([{ text: "I" }, { toolUse: {} }], "tool_use"), "tool_call"],
  ["the AI SDK's length", { text: "I", finishReason: "length", toolCalls: [] }, "unfinished"],
  ["the AI SDK's tool calls", { text: "I", finishReason: "stop", toolCalls: [{}] }, "tool_call"],
  ["a blank answer", { text: " \n" }, "blank"],
  ["a blank text", "", "blank"],
  ["the text of a failure", "[LLM Error] overloaded", "failure"],
  ["what `read` refused", { text: "I cannot say.", refused: "refused" }, "refused"],
];
for (const [what, result, reason] of REFUSED)
  test(`${what} is returned and not stored`, async () => {
    const mneme = client();
    const answer = await mneme.getOrCall(QUESTION, () => result);
    assert.deepEqual([answer.source, answer.result, answer.not_stored, answer.stored], ["model", result, reason, null]);
    assert.equal((await mneme.lookup(QUESTION)).outcome, "miss");
  });

const COMPLETE: ModelResult[] = [
  "Yes.",
  { text: "Yes." },
  chat({ content: "Yes.", tool_calls: [], refusal: null }, "stop"),
  response([{ type: "reasoning", summary: [] }, output("Yes.")], "completed"),
  {
    content: [
      { type: "thinking", thinking: "Hm." },
      { type: "text", text: "Yes." },
    ],
    stop_reason: "end_turn",
  },
  converse([{ reasoningContent: {} }, { text: "Yes." }], "end_turn"),
  { text: "Yes.", finishReason: "stop", toolCalls: [] },
];
test("complete answers of all providers are stored with their text", async () => {
  const mneme = client();
  for (const [index, result] of COMPLETE.entries()) {
    const answer = await mneme.getOrCall(`Question ${index}?`, () => result);
    assert.equal(answer.text, "Yes.", String(index));
    assert.ok(answer.stored, String(index));
  }
});

test("a result of another form needs `read`", async () => {
  const mneme = client();
  const answer = await mneme.getOrCall("a", () => ({ said: "Yes." }), { read: ({ said }) => ({ text: said }) });
  assert.deepEqual([answer.text, answer.result, answer.stored?.created], ["Yes.", { said: "Yes." }, true]);
  // @ts-expect-error: nothing says which field is the text.
  const unknown = mneme.getOrCall("b", () => ({ said: "Yes." }));
  await assert.rejects(unknown, /Remediation: give `read`/);
});

test("mayStore decides after the other rules, and its failure stores nothing", async () => {
  const mneme = client();
  const mayStore = ({ text }: Completion) => !text.startsWith("Sorry");
  assert.equal((await mneme.getOrCall("a", () => "Sorry, no.", { mayStore })).not_stored, "refused");
  assert.ok((await mneme.getOrCall("a", () => "Yes.", { mayStore })).stored);
  const failing = await mneme.getOrCall("b", () => "Yes.", { mayStore: () => Promise.reject(new Error("x")) });
  assert.deepEqual([failing.text, failing.not_stored], ["Yes.", "refused"]);
});

test("a personal answer is neither looked up nor stored", async () => {
  const mneme = client();
  await mneme.put({ query: QUESTION, response: "of somebody else" });
  const answer = await mneme.getOrCall(QUESTION, () => "mine", { personal: true });
  assert.deepEqual([answer.text, answer.lookup, answer.not_stored], ["mine", null, "skipped"]);
  const found = await mneme.lookup(QUESTION);
  assert.equal(found.outcome === "hit" && found.response, "of somebody else");
});

test("an error of the model is thrown, and nothing is stored", async () => {
  const mneme = client();
  const error = new Error("overloaded");
  await assert.rejects(
    mneme.getOrCall(QUESTION, () => Promise.reject(error)),
    error,
  );
  await assert.rejects(mneme.delete(QUESTION), NotFound);
});

test("the model's own metadata, time to live and confidence are stored, with the vector of the question", async () => {
  const mneme = client();
  const call = () => ({ text: "r", metadata: { model: "m" }, ttl_seconds: 30, confidence_score: 0.8 });
  const question = { query: QUESTION, embedding: [0.9, 0.1, 0.2, 0.1], threshold: 0.9, context: { model: "m" } };
  const { stored } = await mneme.getOrCall(question, call, { ttl_seconds: 60 });
  const entry = await mneme.get(stored?.id ?? 0);
  assert.deepEqual([entry.metadata, (entry.expires_at ?? 0) - entry.created_at], [{ model: "m" }, 30]);
  assert.equal(entry.confidence_score, 0.8);
  assert.notEqual(entry.embedding, null);
});

test("waitUntil takes the put, and the answer does not wait for it", async () => {
  const mneme = client();
  const pending: Promise<unknown>[] = [];
  const answer = await mneme.getOrCall(QUESTION, () => "r", { waitUntil: (promise) => pending.push(promise) });
  assert.deepEqual([answer.text, answer.stored, pending.length], ["r", null, 1]);
  await Promise.all(pending);
  assert.equal((await mneme.lookup(QUESTION)).outcome, "hit");
});

test("of ten callers at once, one calls the model, and the others get its answer", async () => {
  const mneme = client();
  let calls = 0;
  const call = async () => {
    calls += 1;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return "Yes.";
  };
  const answers = await Promise.all(Array.from({ length: 10 }, () => mneme.getOrCall(QUESTION, call)));
  assert.equal(calls, 1);
  assert.deepEqual(new Set(answers.map(({ text }) => text)), new Set(["Yes."]));
  assert.deepEqual([mneme.counts.hit, mneme.counts.miss, mneme.counts.stored], [9, 1, 1]);
});

test("after a failed model and after an answer that is not stored, the next caller does not wait", async () => {
  const mneme = client();
  const lease = { seconds: 900 };
  const free = async () => {
    const miss = await mneme.lookup({ query: QUESTION, lease });
    assert.equal(miss.outcome === "miss" && miss.lease?.state, "granted");
    assert.equal(await mneme.release(QUESTION, (miss.outcome === "miss" && miss.lease?.token) || ""), true);
  };
  await assert.rejects(
    mneme.getOrCall(QUESTION, () => Promise.reject(new Error("overloaded"))),
    /overloaded/,
  );
  await free();
  assert.equal((await mneme.getOrCall(QUESTION, () => "")).not_stored, "blank");
  await free();
});

test("a caller who waited for as long as the lease calls the model itself", async () => {
  const mneme = client();
  // The holder was killed. Its lease ends after a second.
  const killed = await mneme.lookup({ query: QUESTION, lease: { seconds: 1 } });
  assert.equal(killed.outcome === "miss" && killed.lease?.state, "granted");
  const answer = await mneme.getOrCall(QUESTION, () => "Yes.");
  assert.deepEqual([answer.source, answer.stored?.created], ["model", true]);
});

test("with lease_seconds 0 nobody waits, and no lease is taken", async () => {
  const mneme = client();
  assert.equal((await mneme.getOrCall(QUESTION, () => "", { lease_seconds: 0 })).lookup?.outcome, "miss");
  await mneme.lookup({ query: QUESTION, lease: { seconds: 900 } });
  assert.equal((await mneme.getOrCall(QUESTION, () => "Yes.", { lease_seconds: 0 })).text, "Yes.");
});

test("the caller's signal ends the wait for another caller's answer", async () => {
  const mneme = client();
  await mneme.lookup({ query: QUESTION, lease: { seconds: 900 } });
  const controller = new AbortController();
  const pending = mneme.getOrCall(QUESTION, () => assert.fail("the model was called"), { signal: controller.signal });
  setTimeout(() => controller.abort(new Error("the user left")), 200);
  await assert.rejects(pending, /the user left/);
});

const never = () => new Promise<never>(() => {});
const gateway = (status: number) => () => ({ status, body: JSON.stringify({ message: "no" }) });
const FAILING = [
  ["is slow", never, "TimedOut"],
  ["throttles", gateway(429), "Throttled"],
  ["refuses the key", gateway(403), "CredentialsRefused"],
  ["fails", gateway(500), "GatewayError"],
] as const;
for (const [what, answer, name] of FAILING)
  test(`while the cache ${what}, the model answers`, async () => {
    const server = await stub(answer);
    const lines: string[] = [];
    // Only the slow cache is to reach the time-out, also on a busy machine.
    const timeoutMs = name === "TimedOut" ? 300 : 30_000;
    const mneme = client({ url: server.url, timeoutMs, log: (line) => lines.push(line) });
    for (const _ of [1, 2]) {
      const { text, source, errors } = await mneme.getOrCall(QUESTION, () => "from the model");
      assert.deepEqual([text, source], ["from the model", "model"]);
      assert.deepEqual(
        errors.map((error) => error.name),
        [name, name],
      );
    }
    assert.deepEqual([mneme.counts.lookup_failed, mneme.counts.put_failed], [2, 2]);
    // One line for the lookup and one for the put: the second call adds none within a minute.
    assert.equal(lines.length, 2);
    assert.match(lines[0] ?? "", new RegExp(`lookup failed.*${name}`));
    server.stop();
  });

test("while the cache is down, 200 calls at once are answered by the model", async () => {
  const mneme = client({ url: DEAD });
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => mneme.getOrCall(`${n}`, async () => `${n}`)));
  answers.forEach(({ text }, n) => {
    assert.equal(text, `${n}`);
  });
  assert.equal(mneme.counts.lookup_failed, 200);
});

test("what onEvent throws does not reach the application", async () => {
  const mneme = client({
    onEvent: () => {
      throw new Error("a bug");
    },
  });
  assert.equal((await mneme.getOrCall(QUESTION, () => "r")).text, "r");
});

test("the caller's signal ends the lookup, and no model is called", async () => {
  const server = await stub(never);
  const mneme = client({ url: server.url });
  const controller = new AbortController();
  const pending = mneme.getOrCall(QUESTION, () => assert.fail("the model was called"), { signal: controller.signal });
  controller.abort(new Error("the user left"));
  await assert.rejects(pending, /the user left/);
  server.stop();
});
