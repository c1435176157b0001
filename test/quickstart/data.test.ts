import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeQuickstartData } from "../../lib/quickstart/data.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "westwind-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("writes every stage's rows in its shape, the same bytes for the same seed", async () => {
  const sizes = { texts: 12, dialogues: 8, prompts: 10, heldOut: 4 };
  const data = await writeQuickstartData(join(folder, "one"), sizes, 7);
  const again = await writeQuickstartData(join(folder, "two"), sizes, 7);
  const counts: Record<string, number> = {};
  for (const name of ["texts", "dialogues", "feedback", "pairs"] as const) {
    for (const split of ["train", "test"]) {
      const content = await readFile(join(data[name], `${split}.jsonl`), "utf8");
      expect(content).toBe(await readFile(join(again[name], `${split}.jsonl`), "utf8"));
      const rows = content.trimEnd().split("\n");
      counts[`${name} ${split}: ${Object.keys(JSON.parse(rows[0]!)).slice(0, 3)}`] = rows.length;
    }
  }
  expect(counts).toEqual({
    "texts train: text": 12,
    "texts test: text": 4,
    "dialogues train: prompt,prompt_id,messages": 8,
    "dialogues test: prompt,prompt_id,messages": 4,
    "feedback train: source,prompt_id,instruction": 10,
    "feedback test: source,prompt_id,instruction": 4,
    "pairs train: prompt,prompt_id,chosen": data.trainReport.pairs,
    "pairs test: prompt,prompt_id,chosen": data.testReport.pairs,
  });
  expect(data.trainReport).toMatchObject({ rule: "mean", seed: 7, rows: 10 });
});
