import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FileError } from "../../lib/base/errors.js";
import type { TensorEntry } from "../../lib/checkpoint/safetensors_write.js";
import {
  INDEX_FILE,
  locateWeights,
  SINGLE_FILE,
  splitShards,
  writeWeights,
} from "../../lib/checkpoint/weights_index.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "westwind-index-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const entry = (name: string, bytes: number): TensorEntry => ({
  name,
  dtype: "U8",
  shape: [bytes],
  data: async () => new Uint8Array(bytes).fill(name.charCodeAt(0)),
});
const ENTRIES = [entry("b", 6), entry("a", 3), entry("d", 20), entry("c", 2)];
const SHARDS = [
  "model-00001-of-00003.safetensors",
  "model-00002-of-00003.safetensors",
  "model-00003-of-00003.safetensors",
];

const readIndex = () => JSON.parse(readFileSync(join(folder, INDEX_FILE), "utf8"));
const editIndex = (edit: (index: { weight_map: Record<string, unknown> }) => void) => {
  const index = readIndex();
  edit(index);
  writeFileSync(join(folder, INDEX_FILE), JSON.stringify(index));
};

test("shards are filled in order up to the limit; a larger tensor has one of its own", () => {
  const names = (limit: number) => splitShards(ENTRIES, limit).map((shard) => shard.map(({ name }) => name).join(""));
  expect(names(9)).toEqual(["ba", "d", "c"]);
  expect(names(8)).toEqual(["b", "a", "d", "c"]);
  expect(names(31)).toEqual(["badc"]);
  expect(splitShards([], 9)).toEqual([]);
});

test("shards are written under transformers' names, with their index, and found again", async () => {
  expect(await writeWeights(folder, ENTRIES, { maxShardBytes: 9 })).toEqual([...SHARDS, INDEX_FILE]);
  expect(readIndex()).toEqual({
    metadata: { total_parameters: 31, total_size: 31 },
    weight_map: { a: SHARDS[0], b: SHARDS[0], c: SHARDS[2], d: SHARDS[1] },
  });
  const located = await locateWeights(folder);
  expect([...located.keys()].sort()).toEqual(["a", "b", "c", "d"]);
  for (const { name, shape } of ENTRIES) {
    const found = located.get(name)!;
    const bytes = readFileSync(found.file).subarray(found.begin, found.end);
    expect(bytes.length).toBe(shape[0]);
    expect(bytes.every((byte) => byte === name.charCodeAt(0))).toBe(true);
  }
});

test("a save removes the weights of the one before, and nothing else", async () => {
  writeFileSync(join(folder, "model-notes.txt"), "");
  await writeWeights(folder, ENTRIES, { maxShardBytes: 9 });
  expect(await writeWeights(folder, ENTRIES)).toEqual([SINGLE_FILE]);
  expect(readdirSync(folder).sort()).toEqual(["model-notes.txt", SINGLE_FILE]);
  expect((await locateWeights(folder)).size).toBe(4);
  await writeWeights(folder, ENTRIES, { maxShardBytes: 9 });
  expect(readdirSync(folder).sort()).toEqual([...SHARDS, "model-notes.txt", INDEX_FILE].sort());
});

test.each([
  ["no weights", () => undefined, `no ${SINGLE_FILE} and no ${INDEX_FILE}, expected either`],
  [
    "pickled weights",
    () => writeFileSync(join(folder, "pytorch_model.bin"), ""),
    "save the model as safetensors first",
  ],
  ["an adapter", () => writeFileSync(join(folder, "adapter_model.safetensors"), ""), "is an adapter: merge it first"],
  ["an index that is not JSON", () => writeFileSync(join(folder, INDEX_FILE), "{"), "not JSON"],
  ["an index without a map", () => writeFileSync(join(folder, INDEX_FILE), "[]"), "no weight_map"],
  ["a null index", () => writeFileSync(join(folder, INDEX_FILE), "null"), "no weight_map"],
])("a folder with %s is refused", async (_, make, message) => {
  make();
  await expect(locateWeights(folder)).rejects.toThrow(FileError);
  await expect(locateWeights(folder)).rejects.toThrow(message);
});

test.each([
  ["a shard that is missing", () => rmSync(join(folder, SHARDS[1]!)), `${SHARDS[1]}: no such file`],
  [
    "a tensor that is in another shard",
    () => editIndex((index) => Object.assign(index.weight_map, { a: SHARDS[1] })),
    `weight_map says ${SHARDS[1]} for a, but it is in ${SHARDS[0]}`,
  ],
  [
    "a tensor that is in no shard",
    () => editIndex((index) => Object.assign(index.weight_map, { x: SHARDS[2] })),
    `weight_map says ${SHARDS[2]} for x, which is not in that file`,
  ],
  [
    "a tensor that it does not list",
    () =>
      editIndex((index) => {
        delete index.weight_map.a;
      }),
    `weight_map says no file for a, but it is in ${SHARDS[0]}`,
  ],
  [
    "a file outside the folder",
    () => editIndex((index) => Object.assign(index.weight_map, { a: "../x.safetensors" })),
    'weight_map has "../x.safetensors" for a, expected a .safetensors file beside the index',
  ],
  [
    "a file that is a number",
    () => editIndex((index) => Object.assign(index.weight_map, { a: 1 })),
    "weight_map has 1 for a",
  ],
])("an index that names %s is refused", async (_, damage, message) => {
  await writeWeights(folder, ENTRIES, { maxShardBytes: 9 });
  damage();
  await expect(locateWeights(folder)).rejects.toThrow(FileError);
  await expect(locateWeights(folder)).rejects.toThrow(message);
});

test("a folder that is not there is refused", async () => {
  await expect(locateWeights(join(folder, "none"))).rejects.toThrow(`${join(folder, "none")}: no such folder`);
});
