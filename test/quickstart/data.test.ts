import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type QuickstartData, writeQuickstartData } from "../../lib/quickstart/data.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "westwind-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("writes every stage's rows in its shape, the same bytes for the same seed", async () => {
  const sizes = { texts: 12, dialogues: 8, prompts: 10, heldOut: 4 };
  const data = await writeQuickstartData(join(folder, "one"), sizes, 7);
  const again = await writeQuickstartData(join(folder, "two"), sizes, 7);
  const filesOf = ({ texts, dialogues, prompts, heldOutPairs }: QuickstartData) => ({
    ...{ "texts train": join(texts, "train.jsonl"), "texts test": join(texts, "test.jsonl") },
    ...{ "dialogues train": join(dialogues, "train.jsonl"), "dialogues test": join(dialogues, "test.jsonl") },
    ...{ prompts, pairs: heldOutPairs },
  });
  const counts: Record<string, number> = {};
  for (const [name, path] of Object.entries(filesOf(data))) {
    const content = await readFile(path, "utf8");
    expect(content).toBe(await readFile(filesOf(again)[name as keyof ReturnType<typeof filesOf>], "utf8"));
    const rows = content.trimEnd().split("\n");
    counts[`${name}: ${Object.keys(JSON.parse(rows[0]!)).slice(0, 3)}`] = rows.length;
  }
  expect(counts).toEqual({
    "texts train: text": 12,
    "texts test: text": 4,
    "dialogues train: prompt,prompt_id,messages": 8,
    "dialogues test: prompt,prompt_id,messages": 4,
    "prompts: prompt": 10,
    "pairs: prompt,prompt_id,chosen": expect.toSatisfy((pairs: number) => pairs >= 2 && pairs <= 4),
  });
});
