import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AbortedError, DataError, FileError } from "../../lib/base/errors.js";
import { encodeSft, type TokenPair, type TokenSequence } from "../../lib/data/encode.js";
import { encodePairs } from "../../lib/data/encode_pairs.js";
import { Encoder, type Encoding } from "../../lib/data/encoder.js";
import { chooseRows, type DatasetOptions, loadDataset } from "../../lib/data/mix.js";
import { toPreferencePair, toSftRow } from "../../lib/data/row.js";
import { sliceRows } from "../../lib/data/rows.js";
import { openTokens } from "../../lib/data/token_store.js";
import { BUILTIN_TEMPLATES } from "../../lib/text/builtin_templates.js";
import { ChatTemplate } from "../../lib/text/chat_template.js";
import { Tokenizer } from "../../lib/text/tokenizer.js";

const TINY = fileURLToPath(new URL("../fixtures/text/tiny-llama", import.meta.url));

let folder: string;
let [data, stores]: [string, string] = ["", ""];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tokens-"));
  [data, stores] = [join(folder, "train.jsonl"), join(folder, "stores")];
});
afterEach(() => rm(folder, { recursive: true }));

const sft: Encoding = {
  kind: "sft",
  tokenizerFolder: TINY,
  chatTemplate: BUILTIN_TEMPLATES.zephyr,
  textField: "text",
  options: { maxLength: 30, assistantOnlyLoss: true },
};
const dpo: Encoding = {
  kind: "dpo",
  tokenizerFolder: TINY,
  chatTemplate: BUILTIN_TEMPLATES.zephyr,
  options: { maxLength: 12 },
};

/** A chat of which every number of words is there, and of the longest of which a part is cut. */
const chat = (i: number) => [
  { role: "user", content: "the cat ".repeat(1 + (i % 3)) },
  { role: "assistant", content: `sat ${"on the dog ".repeat(i % 7)}` },
];
const row = (i: number) => ({
  messages: chat(i),
  prompt: "the ".repeat(i % 11),
  chosen: `cat ${i}`,
  rejected: `dog ${"sat ".repeat(i % 5)}`,
});

/** Writes so many rows, with as many blanks behind each as make a file large enough for threads. */
async function writeRows(count: number, options: { readonly blanks?: number; readonly broken?: number } = {}) {
  const lines = Array.from({ length: count }, (_, i) => JSON.stringify(row(i)) + " ".repeat(options.blanks ?? 0));
  if (options.broken !== undefined) lines[options.broken] = `{"messages": 3,${" ".repeat(100)}"text": 4}`;
  await writeFile(data, `${lines.join("\n")}\n`);
}
const LARGE = { count: 3000, blanks: 2000 };

async function stored<Row extends TokenSequence | TokenPair>(
  encoding: Encoding,
  { numThreads = 0, ...options }: { readonly numThreads?: number } & DatasetOptions = {},
) {
  const chosen = await chooseRows({ dataset_name: data, ...options });
  const { train, test: held } = await openTokens<Row>(chosen, { encoding, numThreads, folder: stores });
  return { train: sliceRows(train), test: sliceRows(held), counts: train.counts, longest: train.longest };
}

async function inMemory(encoding: Encoding, options: DatasetOptions = {}) {
  const rows = await loadDataset({ dataset_name: data, ...options });
  const tokenizer = await Tokenizer.load(TINY);
  const tools = { tokenizer, template: new ChatTemplate(BUILTIN_TEMPLATES.zephyr, tokenizer) };
  if (encoding.kind === "dpo") {
    const { pairs, ...counts } = encodePairs(rows.train.map(toPreferencePair), { ...encoding.options, ...tools });
    return { train: pairs, counts };
  }
  const toRow = (each: (typeof rows.train)[number]) => toSftRow(each);
  const { sequences, ...counts } = encodeSft(rows.train.map(toRow), { ...encoding.options, ...tools });
  return { train: sequences, counts };
}

describe("rows stored as tokens", () => {
  test.each([sft, dpo])("are those that are encoded in memory: $kind", async (encoding) => {
    await writeRows(100);
    const expected = await inMemory(encoding);
    const found = await stored(encoding);
    expect({ train: found.train, counts: found.counts }).toEqual(expected);
    expect(expected.counts.dropped).toBeGreaterThan(0);
    expect(expected.counts.truncated).toBeGreaterThan(0);
  });

  test("whatever their order, and however many threads encode them", async () => {
    await writeRows(LARGE.count, LARGE);
    const mixture = { dataset_name: null, dataset_mixture: { datasets: [{ id: data, weight: 0.9 }], seed: 3 } };
    const alone = await stored<TokenPair>(dpo, mixture);
    await rm(stores, { recursive: true });
    const encodesHere = vi.spyOn(Encoder.prototype, "encode");
    const together = await stored<TokenPair>(dpo, { ...mixture, numThreads: 2 });
    expect(encodesHere).not.toHaveBeenCalled();
    expect(together).toEqual(alone);
    expect(alone.train).toEqual((await inMemory(dpo, mixture)).train);
  });

  test("are encoded again where a row says something else", async () => {
    await writeRows(20);
    const before = await stored<TokenPair>(dpo);
    await writeFile(data, (await readFile(data, "utf8")).replace('"cat 3"', '"dog 3"'));
    const after = await stored<TokenPair>(dpo);
    const isOther = after.train.map(({ chosen }, i) => !isDeepStrictEqual(chosen, before.train[i]!.chosen));
    expect(isOther.filter(Boolean)).toHaveLength(1);
  });

  test("have only the columns that are asked for", async () => {
    await writeRows(20);
    const datasets = [{ id: data, columns: ["chosen"] }];
    const asked = stored(dpo, { dataset_name: null, dataset_mixture: { datasets } });
    await expect(asked).rejects.toThrow(/:1: found "chosen"; expected "chosen" and "rejected"/);
  });

  test("by two processes at once are one store", async () => {
    await writeRows(50);
    const [first, second] = await Promise.all([stored(dpo), stored(dpo)]);
    expect(first).toEqual(second);
    expect(await readdir(stores)).toHaveLength(1);
  });

  test("are encoded once for the same rows and the same encoding", async () => {
    await writeRows(50);
    await stored(dpo);
    const [name] = await readdir(stores);
    const file = join(stores, name!, "rows.bin");
    const { ino } = await stat(file);
    await stored(dpo);
    expect((await stat(file)).ino).toBe(ino);
    await stored({ ...dpo, options: { maxLength: 41 } });
    await stored(dpo, { max_train_samples: 49 });
    await writeRows(51);
    await stored(dpo);
    expect(await readdir(stores)).toHaveLength(4);
  });

  test("are not left half-written by a row at fault", async () => {
    await writeRows(LARGE.count, { ...LARGE, broken: 2500 });
    for (const numThreads of [0, 2]) {
      const error = await stored(sft, { numThreads }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(DataError);
      expect((error as Error).message).toBe(`${data}:2501: messages: a number, expected a list of messages`);
      expect(await readdir(stores)).toEqual([]);
    }
  });

  test("nor by a signal that says stop", async () => {
    await writeRows(LARGE.count, LARGE);
    const chosen = await chooseRows({ dataset_name: data });
    const signal = AbortSignal.abort();
    const opening = openTokens(chosen, { encoding: dpo, numThreads: 2, folder: stores, signal });
    await expect(opening).rejects.toThrow(AbortedError);
    expect(await readdir(stores)).toEqual([]);
  });

  test("are refused where none is left", async () => {
    await writeRows(20);
    await expect(stored({ ...dpo, options: { maxLength: 1 } })).rejects.toThrow(
      /train.jsonl:1: max_length 1 leaves no room for an answer .* \(the longest has \d\d tokens/,
    );
    await expect(stored({ ...sft, options: { maxLength: 1 } })).rejects.toThrow(/nothing to learn within max_length 1/);
  });

  test.each(["rows.bin", "index.bin"])("say so where %s is cut off", async (name) => {
    await writeRows(20);
    await stored(dpo);
    const [store] = await readdir(stores);
    await truncate(join(stores, store!, name), 100);
    await expect(stored(dpo)).rejects.toThrow(FileError);
    await expect(stored(dpo)).rejects.toThrow(/delete .* to have/);
  });
});
