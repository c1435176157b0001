import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type BenchmarkTable, benchmarkTables, findBenchmark, readBenchmarks } from "../../lib/curate/benchmarks.js";
import { Words } from "../../lib/curate/words.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "benchmarks-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function benchmark(rows: readonly object[], options: { ngram?: number; field?: string } = {}) {
  const path = join(folder, "eval.jsonl");
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return await readBenchmarks([path], { ngram: 13, ...options });
}

const found = (table: BenchmarkTable, ...messages: readonly string[]): string | undefined =>
  findBenchmark(
    table,
    messages.map((text) => new Words().read(text)),
  )?.detail.replace(`${folder}/`, "");

const LONG =
  "A train leaves the station at nine and reaches the harbour two hours later; how fast was it, if it is far?";

describe("a message holds something of a benchmark", () => {
  test("thirteen words of a long item, whatever is between them", async () => {
    const table = await benchmark([{ question: "Who are you?" }, { question: LONG }]);
    const thirteen = "a TRAIN leaves the station, at nine - and reaches the harbour two hours";
    expect(found(table, "Hi", `Say: ${thirteen}!`)).toBe("turn 2: 13 words of eval.jsonl:2");
    expect(found(table, "Hi", `Say: ${thirteen.replace("hours", "days")}!`)).toBeUndefined();
    expect(found(table, thirteen.slice(0, 30), thirteen.slice(30))).toBeUndefined(); // not across messages
    expect(found(await benchmark([{ question: LONG }], { ngram: 5 }), "the station at nine and so on")).toBeDefined();
  });

  test("all of a short item, as a part", async () => {
    const table = await benchmark([{ question: "What is the capital of Assyria?" }]);
    expect(found(table, "Tell me: what is the capital of Assyria, please")).toBe("turn 1: 6 words of eval.jsonl:1");
    expect(found(table, "What is the capital of Babylon, not of Assyria?")).toBeUndefined();
  });

  test("of the shortest only as the whole message", async () => {
    const table = await benchmark([{ question: "Who are you?" }]);
    expect(found(table, "who are you")).toBe("turn 1: 3 words of eval.jsonl:1");
    expect(found(table, "Tell me who are you?")).toBeUndefined();
  });
});

test("fields of benchmarks that are about", async () => {
  const rows = [
    { prompt: "one two three four five six" },
    { question_id: 81, turns: ["first turn has so many words", "second turn has many words too"] },
    { context_options: ["the trophy did not fit the case", "the case did not fit the trophy"], gold: 0 },
    { messages: [{ role: "user", content: "a message of a benchmark with words" }] },
  ];
  const table = await benchmark(rows);
  expect(found(table, "one two three four five six")).toMatch(/:1$/);
  expect(found(table, "second turn has many words too")).toMatch(/:2$/);
  expect(found(table, "the case did not fit the trophy")).toMatch(/:3$/);
  expect(found(table, "a message of a benchmark with words")).toMatch(/:4$/);
  const own = await benchmark([{ goal: "cut the cake into eight equal parts", prompt: 3 }], { field: "goal" });
  expect(found(own, "Cut the cake into eight equal parts")).toBeDefined();
  await expect(benchmark([{ prompt: "a" }, { answer: "b" }])).rejects.toThrow(
    /eval\.jsonl:2: answer; expected one of prompt, .*, as text$/,
  );
  await expect(benchmark([{ prompt: "a" }], { field: "goal" })).rejects.toThrow('prompt; expected text in "goal"');
});

test("planted sequences are found, and nothing else is", () => {
  const vocabulary = Array.from({ length: 40 }, (_, i) => `w${i}`);
  const sentence = (minLength: number, maxLength: number) =>
    fc.array(fc.constantFrom(...vocabulary), { minLength, maxLength });
  const slices = (words: readonly string[], length: number) =>
    new Set(words.slice(length - 1).map((_, i) => words.slice(i, i + length).join(" ")));
  fc.assert(
    fc.property(
      fc.array(sentence(1, 30), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 15 }),
      sentence(0, 60),
      fc.option(fc.tuple(fc.nat(), fc.nat(), fc.nat())),
      (items, ngram, text, planted) => {
        const message = [...text];
        if (planted !== null) {
          const item = items[planted[0] % items.length]!;
          const begin = planted[1] % item.length;
          message.splice(planted[2] % (message.length + 1), 0, ...item.slice(begin, begin + ngram));
        }
        const isIn = items.some((item) => {
          const length = Math.min(ngram, item.length);
          if (length < Math.min(5, ngram)) return message.join(" ") === item.join(" ");
          const own = slices(item, length);
          return [...slices(message, length)].some((slice) => own.has(slice));
        });
        const table = {
          ...benchmarkTables(
            items.map((item) => item.join(" ")),
            ngram,
          ),
          places: items.map(String),
        };
        expect(found(table, message.join(" ")) !== undefined).toBe(isIn);
      },
    ),
    { numRuns: 500 },
  );
});
