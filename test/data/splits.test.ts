import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileError } from "../../lib/base/errors.js";
import { hasSplit, splitFiles } from "../../lib/data/splits.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "splits-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function lay(...files: string[]): Promise<void> {
  for (const file of files) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), "");
  }
}
const filesFor = async (split: string) =>
  (await splitFiles(folder, split)).map((path) => path.slice(folder.length + 1));

describe("the hub's layouts", () => {
  test.each([
    [
      "shards in data",
      ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test.parquet"],
      2,
    ],
    ["one file a split", ["train.jsonl.zst", "test.jsonl.zst"], 1],
    ["a folder a split", ["train/0000.parquet", "train/0001.parquet", "test/0000.parquet"], 2],
    ["a folder a split, in data", ["data/train/x.csv", "data/test/x.csv"], 1],
    [
      "the folder of the only configuration",
      ["plain/train-00000-of-00001.parquet", "plain/test-00000-of-00001.parquet"],
      1,
    ],
    ["a configuration's folder a split", ["default/train/0000.parquet", "default/test/0000.parquet"], 1],
    ["a configuration in data", ["data/plain/train/0.parquet", "data/plain/test/0.parquet"], 1],
    ["splits that begin so", ["data/train_prefs-00000-of-00001.parquet", "data/test_prefs-00000-of-00001.parquet"], 1],
    ["a folder that begins so", ["train_sft/0.parquet", "test_sft/0.parquet"], 1],
    ["numbered files", ["train_0.jsonl", "train_1.jsonl", "train_10.jsonl", "test_0.jsonl"], 3],
    [
      "what libraries write beside the rows",
      ["train/0.parquet", "train/dataset_info.json", "train/state.json", "README.md"],
      1,
    ],
    ["names without a split", ["evol_instruct.jsonl", "sharegpt.jsonl"], 2],
  ])("%s", async (_, files, count) => {
    await lay(...files);
    expect(await filesFor("train")).toEqual(files.slice(0, count));
  });

  test("links to files and folders, as in the hub's cache", async () => {
    await lay("blobs/1", "snapshot/README.md", "other/0.parquet");
    await symlink(join(folder, "blobs/1"), join(folder, "snapshot/test-0.parquet"));
    await symlink(join(folder, "other"), join(folder, "snapshot/train"));
    await symlink(join(folder, "snapshot"), join(folder, "snapshot/self"));
    const snapshot = join(folder, "snapshot");
    expect(await splitFiles(snapshot, "train")).toEqual([join(snapshot, "train/0.parquet")]);
    expect(await splitFiles(snapshot, "test")).toEqual([join(snapshot, "test-0.parquet")]);
  });
});

describe("what goes before what", () => {
  test("the split's own name before one that begins so, before the one that stands in for it", async () => {
    await lay("validation.jsonl", "test_prefs.jsonl");
    expect(await filesFor("test")).toEqual(["test_prefs.jsonl"]);
    await lay("test.jsonl");
    expect(await filesFor("test")).toEqual(["test.jsonl"]);
    await lay("test/0.jsonl", "test_gen/0.jsonl");
    expect(await filesFor("test")).toEqual(["test.jsonl"]);
    await rm(join(folder, "test.jsonl"));
    expect(await filesFor("test")).toEqual(["test/0.jsonl"]);
    await rm(join(folder, "validation.jsonl"));
    expect(await filesFor("validation")).toEqual(["test/0.jsonl"]);
  });

  test("the folder itself before data, before `default`, before another configuration", async () => {
    await lay("other/train.jsonl", "default/train.jsonl");
    expect(await filesFor("train")).toEqual(["default/train.jsonl"]);
    await lay("data/train.jsonl");
    expect(await filesFor("train")).toEqual(["data/train.jsonl"]);
    await lay("train.jsonl");
    expect(await filesFor("train")).toEqual(["train.jsonl"]);
  });

  test("no file is taken for train where one is named for a split", async () => {
    await lay("chats.jsonl", "my_test.jsonl");
    await expect(splitFiles(folder, "train")).rejects.toThrow(
      /has no file for the split "train": found chats.jsonl, my_test/,
    );
    await expect(splitFiles(folder, "dev")).rejects.toThrow(/has no file for the split "dev"/);
  });
});

describe("what is not clear", () => {
  const found = (text: string) => `for the split "train": found ${text}`;

  test.each([
    [
      "two kinds",
      ["train.jsonl", "train.parquet"],
      `has several kinds of files ${found("train.jsonl, train.parquet")}`,
    ],
    ["packed and not", ["train.jsonl", "data/train.jsonl.gz"], "has several kinds of files"],
    [
      "two configurations",
      ["en/train.csv", "fr/train.csv"],
      `has several configurations ${found("en/train.csv, fr/train.csv")}`,
    ],
    [
      "two splits",
      ["train_gen.jsonl", "train_sft-00000-of-00002.jsonl", "train_sft-00001-of-00002.jsonl"],
      `has several splits ${found("train_gen.jsonl, train_sft*.jsonl (2 files)")}`,
    ],
    [
      "none",
      ["data/test-00000-of-00003.parquet", "data/test-00001-of-00003.parquet", "dev.csv"],
      `has no file ${found("data/test*.parquet (2 files), dev.csv")}`,
    ],
    [
      "nothing",
      ["train.arrow", ".train.jsonl", "a/b/c/d/train.jsonl"],
      `has no file ${found("no .jsonl, .json, .csv")}`,
    ],
  ])("%s", async (_, files, message) => {
    await lay(...files);
    await expect(splitFiles(folder, "train")).rejects.toThrow(FileError);
    await expect(splitFiles(folder, "train")).rejects.toThrow(message);
  });

  test("a folder that cannot be read", async () => {
    await expect(splitFiles(join(folder, "nope"), "train")).rejects.toThrow(/nope: cannot be read: /);
  });
});

test.each([
  ["train", true],
  ["validation", true],
  ["test", false], // several begin so, and none is meant
  ["dev", false],
])("whether there is a split %s", async (split, expected) => {
  await lay("train_sft.jsonl", "validation.csv", "test_sft.jsonl", "test_gen.jsonl");
  expect(await hasSplit(folder, split)).toBe(expected);
});
