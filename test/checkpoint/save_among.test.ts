import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import { saveAmong } from "../../lib/checkpoint/save_model.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "westwind-among-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (at: string, ...names: string[]) => {
  for (const name of names) writeFileSync(join(at, name), `${name} in ${at === folder ? "old" : "new"}`);
};

test("a model's files take the place of another's, and what only that one had goes", async () => {
  write(folder, "config.json", "chat_template.jinja", "model-00001-of-00002.safetensors", "log.jsonl");
  await saveAmong(folder, async (hidden) => write(hidden, "config.json", "tokenizer.json", "model.safetensors"));
  const expected = ["config.json", "log.jsonl", "model.safetensors", "tokenizer.json"];
  expect(readdirSync(folder).sort()).toEqual(expected);
  expect(expected.map((name) => readFileSync(join(folder, name), "utf8").split(" ").at(-1))).toEqual([
    ...["new", "old", "new", "new"],
  ]);
});

test("a model that cannot be written leaves the other one", async () => {
  write(folder, "config.json", "chat_template.jinja");
  const failing = saveAmong(folder, async (hidden) => {
    write(hidden, "config.json");
    throw new Error("no more");
  });
  await expect(failing).rejects.toThrow("no more");
  expect(readdirSync(folder).sort()).toEqual(["chat_template.jinja", "config.json"]);
  expect(readFileSync(join(folder, "config.json"), "utf8")).toBe("config.json in old");
});
