import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadRows } from "../../lib/data/source.js";
import { fair, good, poor, scoredRow } from "../feedback/scored_rows.js";
import { temporaryFolder } from "../run/collect.js";
import { writeJsonLines } from "../run/small_model.js";
import { run } from "./command.js";

const folder = temporaryFolder();
const rows = [
  scoredRow([good, fair, poor]),
  scoredRow([good, fair], { source: "flan" }),
  scoredRow([fair, poor], { source: "ShareGPT" }),
  scoredRow([good, poor], { source: "truthful_qa" }),
];
const input = writeJsonLines(
  join(folder, "scored.jsonl"),
  rows.map(({ fields }) => fields),
);
const output = join(folder, "out.jsonl");

function readLines(): Record<string, unknown>[] {
  return readFileSync(output, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("sources, margin and the least score are flags", async () => {
  const flags = [
    "--drop-source=flan",
    "--drop-source=sharegpt",
    "--keep-truthfulqa",
    "--min-margin=1",
    "--min-chosen=4.5",
  ];
  const { code, stdout, stderr } = await run("feedback", "binarize", input, `--output=${output}`, "--json", ...flags);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ rows: 4, pairs: 2, dropped: { source: 2, truthfulQa: 0 } });
  expect(stderr).toBe(`rows: 4\npairs: 2\ndropped: prompt is from a source that is left out: 2\npairs in ${output}\n`);
  expect(readLines().map(({ chosen_model, rejected_model }) => [chosen_model, rejected_model])).toEqual([
    ["a", "c"],
    ["a", "c"],
  ]);
});

test("--keep-all writes rankings", async () => {
  const { code, stderr } = await run("feedback", "binarize", input, `--output=${output}`, "--keep-all");
  expect(code).toBe(0);
  expect(stderr).toBe(`rows: 4\nrankings: 3\ndropped: prompt is from TruthfulQA: 1\nrankings in ${output}\n`);
  expect(readLines().map(({ responses }) => (responses as unknown[]).length)).toEqual([3, 2, 2]);
});

test("pairs and rankings in .parquet are those in .jsonl", async () => {
  for (const flags of [[], ["--keep-all"]]) {
    const parquet = join(folder, "out.parquet");
    for (const path of [output, parquet]) await run("feedback", "binarize", input, `--output=${path}`, ...flags);
    const found = (await loadRows(parquet)).map(({ fields }) => fields);
    expect(found).toEqual(readLines());
  }
});

test.each([
  ["--min-margin=-1", "--min-margin: -1, expected a number from 0 up"],
  ["--min-chosen=high", "--min-chosen: high, expected a number"],
  ["--seed=1.5", "--seed: 1.5, expected a whole number"],
])("%s is a wrong command line", async (flag, message) => {
  const { code, stderr } = await run("feedback", "binarize", input, `--output=${output}`, flag);
  expect([code, stderr]).toEqual([2, `westwind: ${message}\n`]);
});
