import { readFileSync } from "node:fs";
import { Command } from "commander";
import { expect, test } from "vitest";

import { addServe } from "../../lib/cli/serve.js";
import { toSettings } from "../../lib/serve/options.js";
import { FakeEngine } from "./fake_engine.js";
import { start, tokenizer } from "./start.js";

const doc = readFileSync("docs/serving.md", "utf8");
const section = (name: string): string => doc.split(`\n## ${name}\n`)[1]!.split("\n## ")[0]!;

test("docs/serving.md names every option of the command, with its default", () => {
  const program = new Command();
  addServe(program, () => Promise.reject(new Error("not called")));
  const options = program.commands[0]!.options;
  const rows = [...section("Options").matchAll(/^\| `--([\w-]+)` \| ([^|]*) \|/gm)].map((match) => [
    match[1]!,
    match[2]!.trim(),
  ]);
  expect(rows.map(([name]) => name)).toEqual(expect.arrayContaining(options.map(({ long }) => long!.slice(2))));
  expect(rows.length).toBe(options.length);
  const settings: Record<string, unknown> = { ...toSettings({ name: "x" }, new FakeEngine(tokenizer)) };
  for (const [name, shown] of rows) {
    const key = name!.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
    const own = options.find(({ long }) => long === `--${name}`)!.defaultValue;
    const value = own ?? (key === "maxTokens" || key === "name" ? undefined : settings[key]);
    if (value !== undefined) expect([name, shown]).toEqual([name, String(value)]);
  }
});

test("docs/serving.md names every metric", async () => {
  const { url } = await start();
  const text = await (await fetch(`${url}/metrics`)).text();
  const metrics = [...text.matchAll(/^# TYPE (\w+) /gm)].map((match) => match[1]!);
  const named = [...section("Metrics").matchAll(/`((?:westwind|process)_\w+)`/g)].map((match) => match[1]!);
  expect([...named].sort()).toEqual([...metrics].sort());
});
