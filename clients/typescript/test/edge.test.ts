import assert from "node:assert/strict";
import { test } from "node:test";
import { EdgeRuntime } from "edge-runtime";
import { build } from "esbuild";
import { namespace, root, url } from "./support.js";

const folder = `${root}/clients/typescript`;

/** Bundles a program for a platform without modules of Node. A `node:` import is an error of esbuild. */
async function bundle(contents: string) {
  const result = await build({
    stdin: { contents, resolveDir: folder, loader: "ts" },
    bundle: true,
    write: false,
    metafile: true,
    minify: true,
    platform: "browser",
    format: "iife",
    target: "es2022",
    logLevel: "silent",
    external: ["ai", "@langchain/core/*"],
  });
  const code = result.outputFiles[0]?.text ?? assert.fail("no bundle");
  return { code, inputs: Object.keys(result.metafile.inputs) };
}

test("the package bundles for the edge without modules of Node", async () => {
  for (const entry of ["mneme-lambda", "mneme-lambda/ai", "mneme-lambda/langchain"]) {
    const { code, inputs } = await bundle(`import * as all from "${entry}"; globalThis.all = all;`);
    const ours = inputs.filter((path) => !path.startsWith("<") && !path.includes("dist/"));
    assert.deepEqual(
      ours.filter((path) => !path.includes("aws4fetch")),
      [],
      entry,
    );
    assert.doesNotMatch(code, /require\("|\bBuffer\b|from"node:/);
    // A function at the edge has a limit in bytes; this one is small beside any framework.
    assert.ok(code.length < 40_000, `${entry}: ${code.length} bytes`);
  }
});

test("in the edge runtime of Vercel a signed client puts, looks up, and calls the model", async () => {
  const { code } = await bundle(`
    import { iam, Mneme } from "mneme-lambda";
    globalThis.run = async (url, namespace) => {
      const credentials = { accessKeyId: "a", secretAccessKey: "b" };
      const mneme = new Mneme({ url, namespace, auth: iam({ credentials, region: "eu-central-1" }) });
      await mneme.put({ query: "a", response: "ü", embedding: new Float32Array([0.9, 0.1, 0.2, 0.1]) });
      const found = await mneme.lookup({ query: "A" });
      const { source, text } = await mneme.getOrCall("b", () => "from the model");
      return JSON.stringify([found.outcome, found.response, source, text, typeof process, typeof Buffer]);
    };
  `);
  const runtime = new EdgeRuntime({ initialCode: code });
  const result = await runtime.evaluate(`run(${JSON.stringify(url)}, ${JSON.stringify(namespace())})`);
  assert.deepEqual(JSON.parse(result), ["hit", "ü", "model", "from the model", "undefined", "undefined"]);
});
