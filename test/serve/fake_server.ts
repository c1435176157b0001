// westwind's command line over the fake engine: node --import ./bench/register.mjs test/serve/fake_server.ts
// MILLISECONDS serve --model assets/quickstart [options of serve]
import { Command } from "commander";

import { FakeEngine } from "./fake_engine.js";

// Of dist/, which need not be translated first.
const built = (path: string): Promise<unknown> => import(new URL(`../../dist/${path}`, import.meta.url).href);
const { addServe } = (await built("cli/serve.js")) as typeof import("../../lib/cli/serve.js");
const { resolveChatTemplate, Tokenizer } = (await built("index.js")) as typeof import("../../lib/index.js");

const [milliseconds, ...args] = process.argv.slice(2);
const program = new Command();
addServe(program, async (folder, { chatTemplate }) => {
  const tokenizer = await Tokenizer.load(folder);
  const engine = new FakeEngine(tokenizer, { milliseconds: Number(milliseconds), maxTokens: 2048 });
  const template = resolveChatTemplate(chatTemplate, tokenizer);
  return { engine, tokenizer, template, [Symbol.asyncDispose]: async () => void process.stderr.write("disposed\n") };
});
await program.parseAsync(args, { from: "user" });
