import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { AbortedError } from "../../lib/base/errors.js";
import { Random } from "../../lib/base/random.js";
import type { PrepareReport } from "../../lib/curate/prepare_report.js";
import { loadRows } from "../../lib/data/source.js";
import { type PrepareRun, prepareData } from "../../lib/run/prepare_data.js";
import { refresh } from "../cli/command.js";
import { readJsonLines, sharedData } from "../shared_data.js";
import { refusal, temporaryFolder } from "./collect.js";

refresh(); // the threads run what is compiled

const folder = temporaryFolder();
let made = 0;
const newName = (): string => join(folder, `out-${made++}`);

interface Row {
  readonly prompt: string;
  readonly prompt_id: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly source?: string;
}

function write(rows: readonly (object | string)[], name = "raw.jsonl"): string {
  const path = join(folder, name);
  const lines = rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`);
  writeFileSync(path, lines.join(""));
  return path;
}

async function prepare(rows: readonly (object | string)[] | string[], options: PrepareRun = {}) {
  const output = newName();
  const report = await prepareData([write(rows)], output, options);
  return { report, output, ...filesOf(output, options) };
}

function filesOf(output: string, { trainName = "train", testName = "test" }: PrepareRun = {}) {
  const rowsOf = <T>(name: string): T[] => {
    const path = join(output, `${name}.jsonl`);
    return existsSync(path) ? readJsonLines<T>(path) : [];
  };
  return { train: rowsOf<Row>(trainName), test: rowsOf<Row>(testName), dropped: rowsOf<Dropped>("dropped") };
}

interface Dropped {
  readonly file: string;
  readonly line: number;
  readonly step: string;
  readonly reason: string;
  readonly detail: string;
}

const droppedOf = ({ steps }: PrepareReport): Record<string, number> =>
  Object.assign({}, ...steps.map(({ dropped }) => dropped));

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);

/** A dialogue whose words are its own. */
function chat(i: number, answer = ""): { data: string[] } {
  const random = new Random(11, i);
  const words = (count: number) => Array.from({ length: count }, () => `w${random.below(100_000)}`).join(" ");
  return { data: [`Question ${i} is ${words(6)}.`, `Answer ${i} is ${words(30)}. ${answer}`.trim()] };
}

const rowOf = (turns: readonly string[], source: string): Row => ({
  prompt: turns[0]!,
  prompt_id: createHash("sha256").update(turns[0]!).digest("hex"),
  messages: turns.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content })),
  source,
});

test("UltraChat's rows become rows to learn from", async () => {
  const raw = [
    { id: "0", data: ["Hello. how are you?", "Well. and you?", "Fine.", "Good."], source: "own" },
    { id: "1", data: ["Tell me more.", "There is no more.", "Sure?"] },
  ];
  const { train, report } = await prepare(raw, { testShare: 0, source: "ultrachat" });
  expect(train).toEqual([
    rowOf(["Hello. How are you?", "Well. And you?", "Fine.", "Good."], "own"),
    rowOf(["Tell me more.", "There is no more."], "ultrachat"),
  ]);
  expect(report.changed).toEqual({ lastTurnCut: { rows: 1, share: 0.5 }, truecased: { rows: 1, share: 0.5 } });
  expect(report.lengths.turns).toMatchObject({ count: 2, total: 6 });
  expect(report.sources).toEqual({ own: 1, ultrachat: 1 });
});

describe("every row is kept, or dropped for a reason", () => {
  const near = chat(7);
  const rows = [
    "not JSON",
    "[1]",
    { data: 3 },
    { data: ["a", ""] },
    { messages: [{ role: "assistant", content: "a" }] },
    { data: ["Only a question."] },
    chat(1, "As an AI language model, I cannot say."),
    chat(2, "We regret to decline."),
    chat(3),
    { data: ["What is the boiling point of water in Quito?", "Lower than you think."] },
    { data: [chat(3).data[0]!.toUpperCase(), "Another answer."] },
    near,
    { data: [`${near.data[0]} And more?`, `${near.data[1]} More of the same.`] },
    chat(5),
    "not JSON either",
  ];
  const expected = {
    ...{ unreadable: 3, noDialogue: 1, emptyTurn: 1, brokenOrder: 1, noAnswer: 1 },
    ...{ refusal: 2, benchmark: 1, repeated: 1, similar: 1 },
  };
  const phrases = join(folder, "phrases.txt");
  writeFileSync(phrases, "regret to (decline|say)\n");
  const benchmark = join(folder, "eval.jsonl");
  writeFileSync(benchmark, '{"question": "What is the boiling point of water in Quito?"}\n');
  const options = { decontaminate: [benchmark], refusalPhrases: phrases, similarity: 0.6, testShare: 0.5 };

  test("the counts add up, and the files hold what they say", async () => {
    const { report, train, test: held, dropped, output } = await prepare(rows, options);
    expect(droppedOf(report)).toEqual(expected);
    expect([report.read, report.kept]).toEqual([15, 3]);
    expect(report.read).toBe(report.kept + sum(droppedOf(report)));
    expect(report.splits).toEqual({ train: train.length, test: held.length });
    expect(train.length + held.length).toBe(3);
    expect(report.steps.map(({ step, rows }) => [step, rows])).toEqual([
      ...[
        ["shape", 15],
        ["refusals", 8],
        ["decontamination", 6],
        ["exactDuplicates", 5],
        ["nearDuplicates", 4],
      ],
    ]);
    expect(JSON.parse(readFileSync(join(output, "report.json"), "utf8"))).toEqual(JSON.parse(JSON.stringify(report)));
    expect(readdirSync(output).sort()).toEqual([
      "dropped.jsonl",
      "report.json",
      "report.md",
      "test.jsonl",
      "train.jsonl",
    ]);

    const source = join(folder, "raw.jsonl");
    expect(new Set(dropped.map(({ file }) => file))).toEqual(new Set([source]));
    expect(dropped.map(({ line, reason }) => `${line} ${reason}`)).toEqual([
      ...["1 unreadable", "2 unreadable", "3 noDialogue", "4 emptyTurn", "5 brokenOrder", "6 noAnswer", "7 refusal"],
      ...["8 refusal", "10 benchmark", "11 repeated", "13 similar", "15 unreadable"],
    ]);
    expect(dropped.map(({ detail }) => detail)).toEqual([
      expect.stringMatching(/^is not JSON: /),
      "holds an array, expected an object of fields",
      "data: a number, expected a list of texts",
      'turn 2: "", expected text',
      "turn 1: assistant, expected user",
      "1 turns, expected a question and an answer",
      "turn 2: as an ai language model",
      "turn 2: regret to decline",
      `turn 1: 9 words of ${benchmark}:1`,
      `${source}:9`,
      expect.stringMatching(/raw\.jsonl:12, similarity 0\.[6-9]\d$/),
      expect.stringMatching(/^is not JSON: /),
    ]);
  });

  test("the report shows the first of each kind", async () => {
    const { report, output } = await prepare(rows, { ...options, examples: 1 });
    expect(report.examples.refusal).toEqual([
      { row: `${join(folder, "raw.jsonl")}:7`, text: chat(1).data[0], detail: "turn 2: as an ai language model" },
    ]);
    expect(report.examples.unreadable).toHaveLength(1);
    expect(report.examples.repeated).toEqual([
      {
        row: `${join(folder, "raw.jsonl")}:11`,
        text: chat(3).data[0]!.toUpperCase(),
        detail: `${join(folder, "raw.jsonl")}:9`,
      },
    ]);
    const text = readFileSync(join(output, "report.md"), "utf8");
    expect(text).toContain("15 rows were read, 3 are kept: ");
    expect(text).toContain("| exactDuplicates | is an earlier row again | 1 | 6.67 % |");
    expect((await prepare(rows, { ...options, examples: 0 })).report.examples).toEqual({});
  });

  test("steps can be left out", async () => {
    const off = {
      truecase: false,
      refusals: false,
      exactDuplicates: "off",
      nearDuplicates: "off",
      testShare: 0,
    } as const;
    const { report, train } = await prepare([...rows, { data: ["Hi. how are you?", "Well."] }], off);
    expect(report.steps.map(({ step }) => step)).toEqual(["shape"]);
    expect(report.kept).toBe(9);
    expect(train.at(-1)!.prompt).toBe("Hi. how are you?");
    const own = await prepare(rows, { refusals: false, refusalPhrases: phrases });
    expect(droppedOf(own.report).refusal).toBe(1);
    const dialogues = await prepare(rows, { exactDuplicates: "dialogue", nearDuplicates: "off" });
    expect(droppedOf(dialogues.report)).toMatchObject({ repeated: 0 });
    const prompts = await prepare(rows, { exactDuplicates: "off", nearDuplicates: "prompt" });
    expect(droppedOf(prompts.report)).toMatchObject({ similar: 1 }); // row 11
  });

  test("strict: the first row that holds no dialogue is an error", async () => {
    expect(await refusal(prepare(rows.slice(3), { strict: true }))).toMatch(/^DataError: .*raw\.jsonl:1: turn 2: ""/);
    expect(await refusal(prepare(rows.slice(6, 14), { strict: true }))).toBe("nothing was refused");
  });

  test("where none is left, it says why and writes nothing", async () => {
    const output = newName();
    const work = prepareData([write(rows.slice(0, 7))], output);
    expect(await refusal(work)).toMatch(
      /no row of 7 is left \(unreadable 2, noDialogue 1, emptyTurn 1, brokenOrder 1, noAnswer 1, refusal 1\), expected/,
    );
    expect(existsSync(output)).toBe(false);
  });
});

test("dialogues without words are like nothing but themselves", async () => {
  const { report } = await prepare([{ data: ["?", "!"] }, { data: ["-", "+"] }, { data: ["?", "*"] }]);
  expect(droppedOf(report)).toMatchObject({ repeated: 1, similar: 0 });
});

test("tokens are counted with a tokenizer", async () => {
  const { report } = await prepare([{ data: ["the cat", "the dog"] }], { tokenizer: "test/fixtures/text/tiny-llama" });
  expect(report.lengths.tokens).toMatchObject({ count: 1 });
  expect(report.lengths.tokens!.total).toBeGreaterThan(1);
});

test("several inputs, packed files and folders; a limit over all of them", async () => {
  const data = join(folder, "data");
  mkdirSync(data);
  const lines = [1, 2, 3, 4].map((i) => `${JSON.stringify(chat(i))}\n`);
  writeFileSync(join(data, "train-0.jsonl.gz"), gzipSync(lines[0]! + lines[1]!));
  writeFileSync(join(data, "train-1.jsonl.gz"), gzipSync(lines[2]!));
  writeFileSync(join(data, "test-0.jsonl"), "not read");
  const more = write([chat(4), chat(1), chat(3)], "more.jsonl");
  const output = newName();
  const report = await prepareData([data, more], output, { testShare: 0 });
  expect([report.read, report.kept]).toEqual([6, 4]);
  expect(filesOf(output).train.map(({ prompt }) => prompt)).toEqual([1, 2, 3, 4].map((i) => chat(i).data[0]));
  expect(filesOf(output).dropped).toMatchObject([
    { file: more, line: 2, detail: `${join(data, "train-0.jsonl.gz")}:1` },
    { file: more, line: 3, detail: `${join(data, "train-1.jsonl.gz")}:1` },
  ]);
  expect((await prepareData([data, more], newName(), { limit: 4 })).read).toBe(4);
});

test("a prompt is in the same split whatever else is there, and in what order", async () => {
  const rows = Array.from({ length: 60 }, (_, i) => chat(i));
  const splitOf = async (some: readonly object[], options: PrepareRun = {}) => {
    const { train, test: held } = await prepare(some, { testShare: 0.3, ...options });
    return new Map([
      ...train.map(({ prompt }) => [prompt, "train"] as const),
      ...held.map(({ prompt }) => [prompt, "test"] as const),
    ]);
  };
  const whole = await splitOf(rows);
  expect(new Set(whole.values())).toEqual(new Set(["train", "test"]));
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(rows, { minLength: 1 }), async (some) => {
      for (const [prompt, split] of await splitOf(some)) expect(split).toBe(whole.get(prompt));
    }),
    { numRuns: 10 },
  );
  const more = await splitOf(rows, { testShare: 0.5 }); // what was held out stays held out
  for (const [prompt, split] of whole) if (split === "test") expect(more.get(prompt)).toBe("test");
  const shouted = rows.map(({ data }) => ({ data: [data[0]!.toUpperCase(), data[1]] }));
  for (const [prompt, split] of await splitOf(shouted)) {
    const quiet = [...whole].find(([other]) => other.toUpperCase() === prompt)!;
    expect(split).toBe(quiet[1]);
  }
});

test("files have the names that are asked for", async () => {
  const rows = Array.from({ length: 30 }, (_, i) => chat(i));
  const names = { trainName: "train_sft", testName: "test_sft" };
  const { report, output } = await prepare(rows, { ...names, testShare: 0.4 });
  expect(Object.keys(report.splits)).toEqual(["train_sft", "test_sft"]);
  expect(readdirSync(output)).toEqual(["report.json", "report.md", "test_sft.jsonl", "train_sft.jsonl"]);
});

test.each(["jsonl.gz", "parquet"] as const)("they are of the kind that is asked for: %s", async (format) => {
  const rows = Array.from({ length: 30 }, (_, i) => chat(i));
  const lines = await prepare(rows, { testShare: 0.4 });
  const { report, output } = await prepare(rows, { testShare: 0.4, format });
  expect(readdirSync(output)).toEqual(["report.json", "report.md", `test.${format}`, `train.${format}`]);
  for (const split of ["train", "test"] as const) {
    const found = (await loadRows(output, { split })).map(({ fields }) => fields);
    expect(found.length).toBe(report.splits[split]);
    expect(found).toEqual(lines[split]);
  }
  expect(readFileSync(join(output, "report.md"), "utf8")).toContain(` in train.${format}`);
});

/** Large enough for threads: the lines end with many blanks. */
function largeFile(): string {
  const rows = Array.from({ length: 600 }, (_, i) => {
    if (i % 50 === 3) return `{"data": ["broken ${i}"`;
    if (i % 40 === 5) return JSON.stringify(chat(i, "As an AI language model I stop."));
    if (i % 30 === 7) return JSON.stringify(chat(i - 1));
    return JSON.stringify(i % 20 === 9 ? chat(i - 2, "And a few words more.") : chat(i, "Fine. thanks."));
  });
  return write(
    rows.map((row) => row + " ".repeat(12_000)),
    "large.jsonl",
  );
}

test("the number of threads does not matter, and neither does a second run", async () => {
  const large = largeFile();
  const files = async (threads: number) => {
    const output = newName();
    const report = await prepareData([large], output, { threads, testShare: 0.2 });
    const texts = readdirSync(output).map((name) => [name, readFileSync(join(output, name), "utf8")]);
    return { report, texts };
  };
  const alone = await files(0);
  expect(sum(droppedOf(alone.report))).toBeGreaterThan(40);
  for (const threads of [1, 2, 3]) expect(await files(threads)).toEqual(alone);
});

test("a signal ends it, and leaves nothing", async () => {
  const large = largeFile();
  for (const threads of [0, 2]) {
    const controller = new AbortController();
    const before = readdirSync(folder).sort();
    const work = prepareData([large], newName(), {
      threads,
      signal: controller.signal,
      report: () => controller.abort(),
    });
    const error = (await work.catch((error) => error)) as AbortedError;
    expect(error.code).toBe("ERR_ABORTED");
    expect(error.message).toMatch(/^stopped after \d+ rows; nothing was written$/);
    expect(readdirSync(folder).sort()).toEqual(before);
  }
});

describe("what cannot be done is said before any row is read", () => {
  const raw = write([chat(1)], "one.jsonl");
  test.each([
    [{ similarity: 0 }, "ConfigError: similarity: 0, expected a number above 0 and at most 1"],
    [{ testShare: 1 }, "ConfigError: testShare: 1, expected a number from 0 to below 1"],
    [{ shingle: 0 }, "ConfigError: shingle: 0, expected a whole number from 1 up"],
    [{ ngram: 1.5 }, "ConfigError: ngram: 1.5, expected a whole number from 1 up"],
    [{ seed: -1 }, "ConfigError: seed: -1, expected a whole number from 0 up"],
    [{ exactDuplicates: "all" as "off" }, 'ConfigError: exactDuplicates: "all", expected one of prompt, dialogue, off'],
    [{ trainName: "a/b" }, 'ConfigError: trainName: "a/b", expected letters, digits, "-", "_" and "."'],
    [{ testName: "report" }, "ConfigError: testName: report, which is the name of another file"],
    [{ testName: "train" }, "ConfigError: testName: train, which is the name of another file"],
    [{ testName: "Train" }, "ConfigError: testName: Train, which is the name of another file"],
    [{ trainName: "Dropped" }, "ConfigError: trainName: Dropped, which is the name of another file"],
    [
      { testName: "a.parquet" },
      "ConfigError: testName: a.parquet, expected a name without .parquet; format names the kind",
    ],
    [{ format: "csv" as "jsonl" }, 'ConfigError: format: "csv", expected one of jsonl, jsonl.gz, parquet'],
    [{ threads: -1 }, "ConfigError: threads: -1, expected a whole number from 0 up"],
    [{ threads: 1.5 }, "ConfigError: threads: 1.5, expected a whole number from 0 up"],
    [{ refusalPhrases: "nowhere.txt" }, "FileError: nowhere.txt: no such file"],
    [{ decontaminate: ["nowhere.jsonl"] }, /^FileError: nowhere\.jsonl: is missing/],
    [{ tokenizer: "nowhere" }, /^FileError: nowhere/],
  ])("%j", async (options, message) => {
    const found = await refusal(prepareData([raw], newName(), options));
    if (typeof message === "string") expect(found).toBe(message);
    else expect(found).toMatch(message);
  });

  test("an input that is missing, and an output that is there", async () => {
    const output = newName();
    expect(await refusal(prepareData([raw, "nowhere.jsonl"], output))).toMatch(
      /^FileError: nowhere\.jsonl: is missing/,
    );
    mkdirSync(output);
    writeFileSync(join(output, "precious.txt"), "mine");
    expect(await refusal(prepareData([raw], output))).toMatch(/^FileError: .*: exists, expected a new or empty folder/);
    expect(readdirSync(output)).toEqual(["precious.txt"]);
  });
});

const [chats, mtBench] = [sharedData("sft/train.jsonl"), sharedData("eval/mt_bench/question.jsonl")];

test.skipIf(chats === undefined || mtBench === undefined)("real dialogues", async () => {
  const output = newName();
  const report = await prepareData([chats!], output, { decontaminate: [mtBench!] });
  const { train, test: held } = filesOf(output);
  expect(report.read).toBe(7766);
  expect(report.kept + sum(droppedOf(report))).toBe(7766);
  expect(train.length + held.length).toBe(report.kept);
  expect(report.kept).toBeGreaterThan(6500);
  expect(report.changed.truecased.share).toBeLessThan(0.02);
  const prompts = new Set([...train, ...held].map(({ prompt }) => prompt.toLowerCase()));
  expect(prompts.size).toBe(report.kept);
});
