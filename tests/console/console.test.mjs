// Each view of the console in Chromium: with an empty cache, with 10,000 entries, with a refused caller, and with hostile
// texts. Screenshots go to target/console for the eye.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const { EMPTY, FULL, GUARDED, CHROMIUM } = process.env;
const VIEWS = ["ask", "entries", "savings", "settings", "health"];
const ENTRIES = 10_000;
const SHOTS = new URL("../../target/console/", import.meta.url).pathname;
/** Markup, marks of direction, quotes and a scheme that runs scripts. */
const HOSTILE = `<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202e"'javascript:window.pwned=1`;

let browser;
/** The id of the entry that a test changes. */
let changed;

async function post(api, path, body) {
  const response = await fetch(`${api}${path}`, { method: "POST", body: JSON.stringify(body) });
  assert.ok(response.ok, await response.clone().text());
  return response.json();
}

/** A page of the console, and what went wrong on it. */
async function open(api, { view = "ask", width = 1200, colorScheme = "light" } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // The browser reports each refused request. The views show those.
    if (message.type() === "error" && !message.text().includes("Failed to load resource")) wrong.push(message.text());
  });
  page.on("dialog", (dialog) => { wrong.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => { if (!request.url().startsWith(api)) wrong.push(`request: ${request.url()}`); });
  await page.goto(`${api}/console#${view}`);
  await page.locator("main h2").waitFor();
  return { page, wrong, close: () => context.close() };
}

async function settled(page) {
  await page.waitForLoadState("networkidle");
}

/** The text of the page, which shows no object in place of a text. */
async function textOf(page) {
  const text = await page.locator("main").textContent();
  assert.ok(!/\[object|undefined|NaN/.test(text), text);
  return text;
}

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  for (let first = 0; first < ENTRIES; first += 1000) {
    const entries = Array.from({ length: 1000 }, (_, at) => (
      { query: `Question ${first + at}`, response: `Answer ${first + at}`, namespace: `team-${at % 7}` }));
    await post(FULL, "/v1/entries", { entries });
  }
  const handbook = { query: "From the handbook", response: "Page 6", metadata: { source: "handbook" } };
  changed = (await post(FULL, "/v1/entries", handbook)).id;
  const hostile = { query: HOSTILE, response: HOSTILE, namespace: HOSTILE, metadata: { [HOSTILE]: HOSTILE } };
  await post(FULL, "/v1/entries", hostile);
  await post(FULL, "/v1/entries", { query: "long", response: `${HOSTILE}${"x".repeat(380_000)}`, namespace: HOSTILE });
});

after(() => browser?.close());

for (const view of VIEWS) {
  test(`${view} with an empty cache shows its start`, async () => {
    const { page, wrong, close } = await open(EMPTY, { view });
    await settled(page);
    assert.equal(await page.locator("nav a[aria-current=page]").getAttribute("href"), `#${view}`);
    assert.equal(await page.locator("#notice").textContent(), "");
    await textOf(page);
    await page.screenshot({ path: `${SHOTS}${view}-empty.png` });
    assert.deepEqual(wrong, []);
    await close();
  });

  test(`${view} with 10,000 entries fits a narrow dark screen`, async () => {
    const { page, wrong, close } = await open(FULL, { view, width: 360, colorScheme: "dark" });
    await settled(page);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(20, 22, 26)");
    await page.screenshot({ path: `${SHOTS}${view}-narrow-dark.png` });
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.deepEqual(wrong, []);
    await close();
  });

  test(`${view} with a refused caller says what to do`, async () => {
    const { page, wrong, close } = await open(GUARDED, { view });
    if (view === "ask") {
      await page.locator("textarea").fill("Why?");
      await page.locator("button.main").click();
    }
    await settled(page);
    const shown = await page.locator("#notice").textContent();
    // Whether the cache is healthy is told to every caller with a namespace.
    assert.match(shown, /names no namespace: send a token/, shown);
    assert.deepEqual(wrong, []);
    await close();
  });
}

test("ask answers with the whole explanation", async () => {
  const { page, wrong, close } = await open(FULL);
  await page.keyboard.type("question   77");
  await page.locator("main input").first().fill("team-0");
  await page.locator("textarea").press("Control+Enter");
  await page.getByText("Hit in the exact layer").waitFor();
  assert.equal(await page.getByText("Answer 77", { exact: true }).count(), 1);
  assert.match(await textOf(page), /Entry78Stored questionQuestion 77/);
  await page.getByRole("heading", { name: "Candidates" }).waitFor();
  await page.screenshot({ path: `${SHOTS}ask-hit.png`, fullPage: true });
  // An answer is right for the question that it was put for.
  await page.locator(".card").getByRole("button", { name: "Wrong" }).click();
  await page.locator("#notice").getByText("cannot be barred").waitFor();
  await page.locator(".card").getByRole("button", { name: "Right" }).click();
  await page.getByText("was called right for this question: the question has an answer of its own").waitFor();
  await page.locator("textarea").fill("Something else");
  await page.locator("button.main").click();
  await page.getByText("Miss:").waitFor();
  await page.screenshot({ path: `${SHOTS}ask-miss.png`, fullPage: true });
  assert.deepEqual(wrong, []);
  await close();
});

test("ask with hostile texts shows them and runs nothing", async () => {
  const { page, wrong, close } = await open(FULL, { width: 360 });
  await page.locator("textarea").fill(HOSTILE);
  await page.locator("main input").first().fill(HOSTILE);
  await page.locator("button.main").click();
  await page.getByText("Hit in the exact layer").waitFor();
  await page.screenshot({ path: `${SHOTS}ask-hostile.png`, fullPage: true });
  assert.ok((await textOf(page)).includes(HOSTILE));
  assert.equal(await page.locator("main img, main script").count(), 0);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.deepEqual(wrong, []);
  await close();
});

test("entries lists page by page, opens an answer of 380 KB and deletes it", async () => {
  const { page, wrong, close } = await open(FULL, { view: "entries" });
  await page.locator("tbody tr").nth(49).waitFor();
  await page.getByRole("button", { name: "More" }).click();
  await page.locator("tbody tr").nth(99).waitFor();
  assert.equal(await page.locator("tbody tr").count(), 100);
  await page.locator("main input").first().fill(HOSTILE);
  await page.locator("button.main").click();
  await page.getByText("2 entries, all").waitFor();
  await page.screenshot({ path: `${SHOTS}entries-hostile.png` });
  await page.locator("tbody a").nth(1).click();
  await page.getByRole("button", { name: /Show all 380,/ }).click();
  assert.equal(await page.locator("main img, main script").count(), 0);
  await textOf(page);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("button", { name: "Keep" }).click();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("was deleted").waitFor();
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.deepEqual(wrong, []);
  await close();
});

test("entries are found by a part of the question and by metadata", async () => {
  const { page, wrong, close } = await open(FULL, { view: "entries" });
  await page.getByLabel("Text of the question").fill("question 9999");
  await page.locator("button.main").click();
  await page.locator("tbody").getByText("Question 9999").waitFor();
  assert.equal(await page.locator("tbody tr").count(), 1);
  await page.getByLabel("Text of the question").fill("");
  await page.getByLabel("Metadata").fill("handbook");
  await page.locator("button.main").click();
  await page.getByText("write key=value").waitFor();
  await page.getByLabel("Metadata").fill("source=handbook");
  await page.locator("button.main").click();
  await page.locator("tbody").getByText("From the handbook").waitFor();
  assert.equal(await page.locator("tbody tr").count(), 1);
  assert.deepEqual(wrong, []);
  await close();
});

test("an entry is changed in part, and a change of nothing is refused", async () => {
  const { page, wrong, close } = await open(FULL, { view: `entries/${changed}` });
  await page.getByRole("button", { name: "Change" }).click();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("nothing is changed").waitFor();
  await page.getByLabel("Answer").fill(HOSTILE);
  await page.getByLabel("Trust").fill("0.5");
  await page.getByLabel("Metadata (JSON)").fill("{");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("the metadata is no JSON").waitFor();
  await page.getByLabel("Metadata (JSON)").fill('{"source": "handbook", "page": 7}');
  await page.getByLabel("Seconds from now that it lives").fill("3600");
  await page.screenshot({ path: `${SHOTS}entry-change.png`, fullPage: true });
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText(`Entry ${changed} was changed.`).waitFor();
  const entry = await (await fetch(`${FULL}/v1/entries/${changed}`)).json();
  assert.equal(entry.response, HOSTILE);
  assert.equal(entry.confidence_score, 0.5);
  assert.deepEqual(entry.metadata, { source: "handbook", page: 7 });
  assert.ok(entry.expires_at > Date.now() / 1000);
  assert.equal(entry.query, "From the handbook");
  assert.ok((await textOf(page)).includes(HOSTILE));
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.deepEqual(wrong, []);
  await close();
});

test("hits and misses show a bar for this hour and the reasons of the misses", async () => {
  const { page, wrong, close } = await open(FULL, { view: "savings" });
  await settled(page);
  for (const range of ["hour", "day"]) {
    await page.getByLabel("Range").selectOption(range);
    await page.locator("button.main").click();
    await settled(page);
    await page.locator("svg[role=img]").waitFor();
    assert.match(await textOf(page), /Why it missed/);
  }
  await page.screenshot({ path: `${SHOTS}savings.png`, fullPage: true });
  assert.deepEqual(wrong, []);
  await close();
});

test("settings of a namespace with a hostile name are saved, shown again and reset", async () => {
  const { page, wrong, close } = await open(FULL, { view: `settings/${encodeURIComponent(HOSTILE)}` });
  await page.getByLabel("Largest number of entries").fill("5000");
  await page.getByLabel("Least confidence").fill("0.9");
  await page.getByLabel("Layers").selectOption("exact");
  await page.getByLabel("Answers in another language").selectOption("true");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The settings were saved.").waitFor();
  await page.reload();
  await settled(page);
  assert.equal(await page.getByLabel("Largest number of entries").inputValue(), "5000");
  assert.equal(await page.getByLabel("Least confidence").inputValue(), "0.9");
  assert.equal(await page.getByLabel("Layers").inputValue(), "exact");
  assert.equal(await page.getByLabel("Answers in another language").inputValue(), "true");
  assert.equal(await page.getByLabel("Least similarity").inputValue(), "");
  await page.screenshot({ path: `${SHOTS}settings-hostile.png`, fullPage: true });
  await page.getByRole("button", { name: "Reset all" }).click();
  await page.getByText("The configuration applies").waitFor();
  assert.equal(await page.getByLabel("Largest number of entries").inputValue(), "");
  assert.deepEqual(wrong, []);
  await close();
});

test("a namespace is purged after a confirmation", async () => {
  await post(FULL, "/v1/entries", { query: "q", response: "r", namespace: "leaving" });
  const { page, wrong, close } = await open(FULL, { view: "settings/leaving" });
  await page.getByRole("button", { name: "Purge" }).click();
  await page.locator("dialog").getByRole("button", { name: "Purge" }).click();
  await page.getByText("1 entries were deleted.").waitFor();
  const { namespaces } = await (await fetch(`${FULL}/v1/namespaces`)).json();
  assert.ok(!namespaces.some(({ namespace }) => namespace === "leaving"));
  assert.deepEqual(wrong, []);
  await close();
});

test("health vacuums to the end", async () => {
  const { page, wrong, close } = await open(EMPTY, { view: "health" });
  await page.getByText("Healthy", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Vacuum" }).click();
  await page.getByText("The vacuum is done").waitFor();
  await textOf(page);
  assert.deepEqual(wrong, []);
  await close();
});

test("a caller's token is sent, and forgotten by a reload", async () => {
  const { page, wrong, close } = await open(GUARDED, { view: "entries" });
  const token = `e30.${Buffer.from(JSON.stringify({ tenant: "acme" })).toString("base64url")}.c2ln`;
  await page.getByRole("button", { name: "Caller" }).click();
  await page.locator("dialog input").fill(token);
  await page.locator("dialog").getByRole("button", { name: "Use" }).click();
  await page.getByText("0 entries, all").waitFor();
  await page.reload();
  await page.getByText("names no namespace").waitFor();
  assert.deepEqual(wrong, []);
  await close();
});

test("digits choose a view, and a slash goes to the first field", async () => {
  const { page, wrong, close } = await open(EMPTY, { view: "health" });
  await page.keyboard.press("2");
  await page.getByRole("heading", { name: "Entries" }).waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("3");
  assert.equal(await page.locator("main input").first().inputValue(), "3");
  assert.deepEqual(wrong, []);
  await close();
});

test("the page may load nothing else and may not be framed", async () => {
  const response = await fetch(`${EMPTY}/console`);
  // Node ends only when every body was read.
  await response.text();
  const policy = response.headers.get("content-security-policy");
  for (const rule of ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]) {
    assert.ok(policy.includes(rule), policy);
  }
  assert.ok(!policy.includes("unsafe"));
});
