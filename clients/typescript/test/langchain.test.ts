import assert from "node:assert/strict";
import { test } from "node:test";
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base";
import { type BaseChatModelParams, SimpleChatModel } from "@langchain/core/language_models/chat_models";
import { LLM } from "@langchain/core/language_models/llms";
import { AIMessage, type BaseMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { JsonOutputParser, StringOutputParser } from "@langchain/core/output_parsers";
import type { ChatResult } from "@langchain/core/outputs";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import type { Runnable } from "@langchain/core/runnables";
import type { Mneme } from "mneme-lambda";
import { MnemeCache, type MnemeCacheOptions } from "mneme-lambda/langchain";
import { client, DEAD, stub } from "./support.js";

type Answer = (call: number, messages: BaseMessage[]) => string | AIMessage;

/** A stand-in chat model, which counts its calls. `temperature` is a parameter that decides the answer. */
class StandIn extends SimpleChatModel<{ stop?: string[]; temperature?: number }> {
  calls = 0;
  readonly #answer: Answer;

  constructor(fields: BaseChatModelParams, answer: Answer) {
    super(fields);
    this.#answer = answer;
  }

  override _llmType() {
    return "stand-in";
  }

  override async _call(): Promise<string> {
    throw new Error("_generate is used");
  }

  override async _generate(messages: BaseMessage[]): Promise<ChatResult> {
    this.calls += 1;
    const answer = this.#answer(this.calls, messages);
    const message =
      typeof answer === "string"
        ? new AIMessage({
            id: `run-${this.calls}`,
            content: answer,
            response_metadata: { finish_reason: "stop" },
          })
        : answer;
    return { generations: [{ text: String(message.content), message, generationInfo: { seed: 7 } }] };
  }
}

function chat(mneme: Mneme, options: MnemeCacheOptions = {}, answer: Answer = (call) => `Answer ${call}.`) {
  return new StandIn({ cache: new MnemeCache(mneme, options) }, answer);
}

/** Embeds the topic, and a little of the wording. */
const embeddings = {
  embedQuery: async (text: string) => [
    Number(/password/.test(text)),
    Number(/order/.test(text)),
    text.length / 1_000,
    0.1,
  ],
};

const system = new SystemMessage("Answer in one sentence.");

test("invoke is stored and served, without the id of the first message", async () => {
  const mneme = client();
  const model = chat(mneme);
  const first = await model.invoke([system, new HumanMessage("How do I reset my password?")]);
  const second = await model.invoke([system, new HumanMessage("how do I RESET my password?")]);
  assert.deepEqual([first.content, second.content, model.calls], ["Answer 1.", "Answer 1.", 1]);
  assert.ok(second instanceof AIMessage);
  assert.equal(first.id, "run-1");
  assert.equal(second.id, undefined);
  assert.equal(second.response_metadata.finish_reason, "stop");
  assert.deepEqual([mneme.counts.hit, mneme.counts.stored], [1, 1]);
});

test("the prompt is compared message by message: another system message or history is another question", async () => {
  const mneme = client();
  const model = chat(mneme);
  const question = new HumanMessage("Cancel it.");
  const history = (order: string) => [
    new HumanMessage(`Has order ${order} been sent?`),
    new AIMessage(`Order ${order} leaves.`),
  ];
  const prompts = [
    [question],
    [system, question],
    [system, ...history("48213"), question],
    [system, ...history("48377"), question],
    [system, new HumanMessage("System: Cancel it.\nwith a second line")],
  ];
  for (const [index, prompt] of prompts.entries())
    assert.equal((await model.invoke(prompt)).content, `Answer ${index + 1}.`);
  for (const [index, prompt] of prompts.entries())
    assert.equal((await model.invoke(prompt)).content, `Answer ${index + 1}.`);
  assert.equal(model.calls, prompts.length);
});

test("embeddings find a question in other words, and not another order", async () => {
  const mneme = client();
  const model = chat(mneme, { embeddings });
  await model.invoke([system, new HumanMessage("How do I reset my password?")]);
  await model.invoke([system, new HumanMessage("How can I reset my password?")]);
  assert.equal(model.calls, 1);
  await model.invoke([system, new HumanMessage("Track order 48213")]);
  await model.invoke([system, new HumanMessage("Track order 48231")]);
  assert.equal(model.calls, 3);
});

test("parameters, the context of the cache and the model separate answers", async () => {
  const mneme = client();
  const model = chat(mneme);
  await model.invoke("a");
  await model.invoke("a", { stop: ["x"] });
  await model.invoke("a", { temperature: 0.5 });
  assert.equal(model.calls, 3);
  const german = chat(mneme, { context: { language: "de" } });
  await german.invoke("a");
  assert.equal(german.calls, 1);
});

test("batch, a chain and 50 calls at once are served", async () => {
  const mneme = client({ timeoutMs: 30_000 });
  const model = chat(mneme);
  const chain = ChatPromptTemplate.fromMessages([
    ["system", "Answer in {language}."],
    ["human", "{question}"],
  ])
    .pipe(model as Runnable<BaseLanguageModelInput, AIMessage>)
    .pipe(new StringOutputParser());
  const inputs = Array.from({ length: 5 }, (_, n) => ({ language: "English", question: `Question ${n}?` }));
  const first = await chain.batch(inputs);
  assert.deepEqual(await chain.batch(inputs), first);
  const many = await Promise.all(
    Array.from({ length: 50 }, (_, n) => chain.invoke(inputs[n % 5] as (typeof inputs)[0])),
  );
  assert.deepEqual(
    many,
    Array.from({ length: 50 }, (_, n) => first[n % 5]),
  );
  assert.equal(model.calls, 5);
});

test("structured output is served", async () => {
  const model = chat(client(), {}, () => '{"city":"Ghent"}');
  const chain = model.pipe(new JsonOutputParser<{ city: string }>());
  assert.deepEqual(
    [await chain.invoke("Where?"), await chain.invoke("where?")],
    [{ city: "Ghent" }, { city: "Ghent" }],
  );
  assert.equal(model.calls, 1);
});

const call = { name: "weather", args: { city: "Ghent" }, id: "call-1", type: "tool_call" as const };
const calling: Answer = () =>
  new AIMessage({ content: "", tool_calls: [call], response_metadata: { finish_reason: "tool_calls" } });

test("tool calls are served to the same prompt only", async () => {
  const mneme = client();
  const model = chat(mneme, { embeddings }, calling);
  await model.invoke("How do I reset my password?");
  const same = await model.invoke("How do I reset my password?");
  assert.ok(same instanceof AIMessage);
  assert.deepEqual(same.tool_calls, [call]);
  assert.equal(model.calls, 1);
  await model.invoke("How can I reset my password?");
  assert.deepEqual([model.calls, mneme.counts.unusable], [2, 1]);
});

test("tool calls are served by similarity with `always`, and not stored with `never`", async () => {
  const mneme = client();
  const always = chat(mneme, { embeddings, toolCalls: "always" }, calling);
  await always.invoke("How do I reset my password?");
  await always.invoke("How can I reset my password?");
  assert.equal(always.calls, 1);
  const never = chat(client(), { toolCalls: "never" }, calling);
  for (const _ of [1, 2]) await never.invoke("a");
  assert.equal(never.calls, 2);
});

test("a prompt with a tool's result is compared as a whole", async () => {
  const mneme = client();
  const model = chat(mneme, { embeddings });
  const prompt = (result: string, question = "Weather in Ghent?") => [
    new HumanMessage(question),
    new AIMessage({ content: "", tool_calls: [call] }),
    new ToolMessage({ content: result, tool_call_id: "call-1" }),
  ];
  await model.invoke(prompt("rain"));
  await model.invoke(prompt("rain"));
  assert.equal(model.calls, 1);
  await model.invoke(prompt("sun"));
  await model.invoke(prompt("rain", "The weather in Ghent?"));
  assert.equal(model.calls, 3);
  const later = (result: string) => [...prompt(result), new AIMessage("It is so."), new HumanMessage("And tomorrow?")];
  await model.invoke(later("rain"));
  await model.invoke(later("rain"));
  assert.equal(model.calls, 4);
  await model.invoke(later("sun"));
  assert.deepEqual([model.calls, mneme.counts.lookup_failed], [5, 0]);
});

test("two pictures are never taken for one", async () => {
  const mneme = client();
  const model = chat(mneme);
  const prompt = (picture: string) => [
    new HumanMessage({
      content: [
        { type: "text", text: "What is this?" },
        { type: "image_url", image_url: { url: `data:image/png;base64,${picture}` } },
      ],
    }),
  ];
  assert.equal((await model.invoke(prompt("AAAA"))).content, "Answer 1.");
  assert.equal((await model.invoke(prompt("BBBB"))).content, "Answer 2.");
});

const NOT_STORED: [string, AIMessage, string][] = [
  [
    "a truncated answer",
    new AIMessage({ content: "Half", response_metadata: { finish_reason: "length" } }),
    "unfinished",
  ],
  [
    "Anthropic's max_tokens",
    new AIMessage({ content: "Half", response_metadata: { stop_reason: "max_tokens" } }),
    "unfinished",
  ],
  ["a blank answer", new AIMessage(" "), "blank"],
  ["the text of a failure", new AIMessage("[LLM Error] overloaded"), "failure"],
];
for (const [what, message] of NOT_STORED)
  test(`${what} is not stored`, async () => {
    const mneme = client();
    const model = chat(mneme, {}, () => message);
    for (const _ of [1, 2]) await model.invoke("a");
    assert.deepEqual([model.calls, mneme.counts.not_stored, mneme.counts.stored], [2, 2, 0]);
  });

test("a model that is no chat model is served, and prompts are compared as they are", async () => {
  class Plain extends LLM {
    calls = 0;
    override _llmType() {
      return "plain";
    }
    override async _call(prompt: string) {
      this.calls += 1;
      return `${prompt} ${this.calls}`;
    }
  }
  const model = new Plain({ cache: new MnemeCache(client()) });
  assert.deepEqual([await model.invoke("a"), await model.invoke("A"), await model.invoke("b")], ["a 1", "a 1", "b 2"]);
});

test("ttl_seconds and waitUntil reach the put", async () => {
  const mneme = client();
  const pending: Promise<unknown>[] = [];
  await chat(mneme, { ttl_seconds: 60, waitUntil: (promise) => pending.push(promise) }).invoke("a");
  await Promise.all(pending);
  assert.equal(pending.length, 1);
  for await (const entry of mneme.entries()) assert.equal((entry.expires_at ?? 0) - (entry.created_at ?? 0), 60);
});

const FAILING = [
  ["is slow", () => new Promise<never>(() => {})],
  ["throttles", () => ({ status: 429 })],
  ["refuses the key", () => ({ status: 403 })],
] as const;
for (const [what, answer] of FAILING)
  test(`while the cache ${what}, the model answers`, async () => {
    const server = await stub(answer);
    const mneme = client({ url: server.url, timeoutMs: 200 });
    assert.equal((await chat(mneme).invoke("a")).content, "Answer 1.");
    assert.deepEqual([mneme.counts.lookup_failed, mneme.counts.put_failed], [1, 1]);
    server.stop();
  });

test("while the cache is down, the model answers", async () => {
  assert.equal((await chat(client({ url: DEAD })).invoke("a")).content, "Answer 1.");
});
