import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConfigError } from "../../lib/base/errors.js";
import { type DatasetOptions, loadDataset } from "../../lib/data/mix.js";

let folder: string;
let [a, b]: [string, string] = ["", ""];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mix-"));
  [a, b] = [join(folder, "a"), join(folder, "b")];
  const write = (path: string, name: string, count: number) =>
    writeFile(path, Array.from({ length: count }, (_, i) => JSON.stringify({ id: `${name}${i}`, more: i })).join("\n"));
  await mkdir(a);
  await mkdir(b);
  await write(join(a, "train.jsonl"), "a", 10);
  await write(join(a, "test.jsonl"), "A", 4);
  await write(join(b, "train_prefs.jsonl"), "b", 5);
  await write(join(b, "test_prefs.jsonl"), "B", 3);
});
afterEach(() => rm(folder, { recursive: true }));

async function ids(options: DatasetOptions): Promise<{ train: string[]; test: string[] }> {
  const { train, test: held } = await loadDataset(options);
  const id = ({ fields }: { fields: Readonly<Record<string, unknown>> }) => String(fields.id);
  return { train: train.map(id), test: held.map(id) };
}
const numbered = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name}${i}`);

describe("one data set", () => {
  test("a folder's splits, in order, as many as asked for", async () => {
    expect(await ids({ dataset_name: a })).toEqual({ train: numbered("a", 10), test: numbered("A", 4) });
    const few = { dataset_name: b, dataset_train_split: "train_prefs", max_train_samples: 2, max_eval_samples: 1 };
    expect(await ids(few)).toEqual({ train: ["b0", "b1"], test: ["B0"] });
  });

  test("a file has nothing to evaluate on", async () => {
    expect(await ids({ dataset_name: join(a, "train.jsonl") })).toEqual({ train: numbered("a", 10), test: [] });
  });
});

describe("dataset_mixer", () => {
  const splits = ["train", "test"];

  test("the first int(share * rows) of each training split, all test rows", async () => {
    const mixed = { dataset_mixer: { [a]: 0.29, [b]: 0.5 }, dataset_splits: splits, sequential: true };
    expect(await ids(mixed)).toEqual({
      train: [...numbered("a", 2), ...numbered("b", 2)],
      test: [...numbered("A", 4), ...numbered("B", 3)],
    });
  });

  test("shuffled together by the seed alone", async () => {
    const mixed = { dataset_mixer: { [a]: 1, [b]: 1 }, dataset_splits: splits };
    const [first, again, other] = [await ids(mixed), await ids(mixed), await ids({ ...mixed, seed: 7 })];
    expect(again).toEqual(first);
    expect(other.train).not.toEqual(first.train);
    expect(first.train).not.toEqual([...numbered("a", 10), ...numbered("b", 5)]);
    expect([...first.train].sort()).toEqual([...numbered("a", 10), ...numbered("b", 5)]);
  });

  test("what cannot be", async () => {
    await expect(loadDataset({ dataset_mixer: { [a]: 1 }, dataset_splits: ["dev"] })).rejects.toThrow(ConfigError);
    await expect(loadDataset({ dataset_mixer: { [a]: -0.5 } })).rejects.toThrow(/-0.5, expected 0 to 1/);
    await expect(loadDataset({ dataset_mixer: { [a]: 0.01 } })).rejects.toThrow(/leave no row to train on/);
    await expect(loadDataset({})).rejects.toThrow(/none of them is given, expected exactly one/);
    await expect(loadDataset({ dataset_name: a, dataset_mixer: { [a]: 1 } })).rejects.toThrow(/more than one is given/);
  });
});

describe("dataset_mixture", () => {
  test("weights draw rows, all parts are shuffled, columns stay", async () => {
    const datasets = [
      { id: a, split: "train", weight: 0.5, columns: ["id"] },
      { id: b, split: "test_prefs" },
    ];
    const { train, test: held } = await loadDataset({ dataset_mixture: { datasets, seed: 3 } });
    expect(held).toEqual([]);
    const fields = train.map((row) => row.fields);
    expect(fields.filter(({ id }) => String(id).startsWith("a"))).toHaveLength(5);
    expect(fields.filter(({ id }) => String(id).startsWith("B"))).toHaveLength(3);
    expect(fields.find(({ id }) => String(id).startsWith("a"))).not.toHaveProperty("more");
    expect(fields.find(({ id }) => String(id).startsWith("B"))).toHaveProperty("more");
    const again = await loadDataset({ dataset_mixture: { datasets, seed: 3 } });
    expect(again.train).toEqual(train);
  });

  test("a test split of so many rows, or of a share", async () => {
    const datasets = [{ id: a }, { id: b, split: "train_prefs" }];
    const all = [...numbered("a", 10), ...numbered("b", 5)];
    for (const [size, expected] of [
      [4, 4],
      [0.1, 2],
    ] as const) {
      const { train, test: held } = await ids({ dataset_mixture: { datasets, test_split_size: size, seed: 0 } });
      expect(held).toHaveLength(expected);
      expect([...train, ...held].sort()).toEqual(all);
    }
  });

  test("what cannot be", async () => {
    const mixture = (rest: object, part = {}) => ({ dataset_mixture: { datasets: [{ id: a, ...part }], ...rest } });
    await expect(loadDataset(mixture({ test_split_size: 10 }))).rejects.toThrow(
      /10 of 10 rows leaves none to train on/,
    );
    await expect(loadDataset(mixture({}, { columns: ["id", "nope"] }))).rejects.toThrow(
      /a\/train\.jsonl:1: has no column "nope", expected all of id, nope; found id, more/,
    );
  });
});
