// Training reads every kind of file: the same pairs give the same tokens, whichever they are in.
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileError } from "../../lib/base/errors.js";
import type { TokenPair } from "../../lib/data/encode.js";
import type { Encoding } from "../../lib/data/encoder.js";
import { chooseRows, type DatasetOptions, loadChosen } from "../../lib/data/mix.js";
import { sliceRows } from "../../lib/data/rows.js";
import { openTokens } from "../../lib/data/token_store.js";
import { writeRows } from "../../lib/data/write_rows.js";
import { BUILTIN_TEMPLATES } from "../../lib/text/builtin_templates.js";
import { storedZstd } from "./zstd.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "files-alike-"));
});
afterEach(() => rm(folder, { recursive: true }));

const encoding: Encoding = {
  kind: "dpo",
  tokenizerFolder: fileURLToPath(new URL("../fixtures/text/tiny-llama", import.meta.url)),
  chatTemplate: BUILTIN_TEMPLATES.zephyr,
  options: { maxLength: 40 },
};

const pair = (i: number) => {
  const question = { role: "user", content: "the cat ".repeat(1 + (i % 5)) };
  const answer = (content: string) => [question, { role: "assistant", content }];
  return { chosen: answer(`sat ${i}`), rejected: answer(`on the ${"dog ".repeat(i % 7)}`), score_chosen: i / 2 };
};

async function writePairs(name: string, count: number): Promise<string> {
  const path = join(folder, name);
  const rows = Array.from({ length: count }, (_, i) => pair(i));
  if (name.endsWith(".csv")) {
    const quoted = (value: unknown) => `"${JSON.stringify(value).replaceAll('"', '""')}"`;
    await writeFile(
      path,
      ["chosen,rejected", ...rows.map((row) => `${quoted(row.chosen)},${quoted(row.rejected)}`)].join("\n"),
    );
  } else if (name.endsWith(".json")) await writeFile(path, JSON.stringify(rows, null, 2));
  else if (name.endsWith(".zst")) {
    await writeFile(path, storedZstd(Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(""))));
  } else await writeRows(path, rows);
  return path;
}

async function tokensOf(options: DatasetOptions, numThreads = 0): Promise<Omit<TokenPair, "place">[]> {
  const stores = join(folder, "stores");
  const { train } = await openTokens<TokenPair>(await chooseRows(options), { encoding, numThreads, folder: stores });
  return sliceRows(train).map(({ prompt, chosen, rejected }) => ({ prompt, chosen, rejected }));
}

const OTHERS = ["x.jsonl.gz", "x.jsonl.zst", "x.json", "x.csv", "x.parquet"];

test.each(OTHERS)("%s gives the tokens of x.jsonl", async (name) => {
  const expected = await tokensOf({ dataset_name: await writePairs("x.jsonl", 700) });
  expect(expected).toHaveLength(700);
  const path = await writePairs(name, 700);
  expect(await tokensOf({ dataset_name: path })).toEqual(expected);
  const few = { dataset_name: path, max_train_samples: 300 };
  expect(await tokensOf(few)).toEqual(expected.slice(0, 300));
});

test("threads encode a large .parquet file", async () => {
  const path = join(folder, "x.parquet");
  const rows = Array.from({ length: 3000 }, (_, i) => ({ ...pair(i), more: "x".repeat(2000) }));
  await writeRows(path, rows);
  expect(await tokensOf({ dataset_name: path }, 2)).toEqual(
    await tokensOf({ dataset_name: await writePairs("x.jsonl", 3000) }),
  );
});

test("a mixture takes the same rows of every kind of file, and the columns that are asked for", async () => {
  const rowsOf = async (name: string, columns: string[] | null) => {
    const datasets = [
      { id: await writePairs(name, 500), weight: 0.3, columns },
      { id: await writePairs(name.replace("x", "y"), 20), columns },
    ];
    const { train, test: held } = await chooseRows({ dataset_mixture: { datasets, test_split_size: 5, seed: 1 } });
    return (await loadChosen([...train, ...held])).map(({ fields }) => fields);
  };
  const columns = ["chosen", "rejected"];
  const expected = await rowsOf("x.jsonl", columns);
  expect(expected).toHaveLength(170);
  for (const name of ["x.parquet", "x.csv"]) expect(await rowsOf(name, columns)).toEqual(expected);
  expect(await rowsOf("x.parquet", null)).toEqual(await rowsOf("x.jsonl", null));
  await expect(rowsOf("x.parquet", ["chosen", "nope"])).rejects.toThrow(/x\.parquet: has no column "nope"/);
});

describe("a store belongs to the content of its rows", () => {
  test.each([...OTHERS, "x.jsonl"])("%s", async (name) => {
    const hashOf = async (count: number, limit: number | null = null) =>
      (await chooseRows({ dataset_name: await writePairs(name, count), max_train_samples: limit })).contentHash;
    const hash = await hashOf(30);
    expect(await hashOf(30)).toBe(hash);
    expect(await hashOf(31)).not.toBe(hash);
    expect(await hashOf(31, 10)).not.toBe(await hashOf(31, 11));
  });

  test("none is kept where a file turns out to be damaged", async () => {
    const path = await writePairs("x.parquet", 700);
    await writeFile(path, (await readFile(path)).fill(0xff, 200, 400));
    await expect(tokensOf({ dataset_name: path })).rejects.toThrow(FileError);
    await expect(tokensOf({ dataset_name: path })).rejects.toThrow(/x\.parquet: row group 1, column chosen/);
    expect(await readdir(join(folder, "stores"))).toEqual([]);
  });
});
