import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { loadRows } from "../../lib/data/source.js";
import { type GenerateFileOptions, type GenerateProgress, generateFile } from "../../lib/run/generate_file.js";
import { type PromptOptions, readPromptRows } from "../../lib/run/prompt_rows.js";
import { FakeEngine, fakeModel } from "../generate/fake_engine.js";
import { refusal, temporaryFolder } from "./collect.js";
import { writeJsonLines } from "./small_model.js";

const folder = temporaryFolder();
const linesOf = (path: string): Record<string, unknown>[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

let numFiles = 0;
const newFile = (): string => join(folder, `out-${numFiles++}.jsonl`);

function file(name: string, text: string | Uint8Array): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

async function generate(
  engine: FakeEngine,
  input: string,
  output: string,
  { prompts, ...options }: Partial<GenerateFileOptions> = {},
): Promise<GenerateProgress> {
  const rows = await readPromptRows(input, prompts);
  return await generateFile(fakeModel(engine), rows, output, { model: "m", prompts, ...options });
}

const letters = writeJsonLines(
  join(folder, "letters.jsonl"),
  [..."abcdefghij"].map((letter, id) => ({ id, prompt: letter })),
);

describe("the rows", () => {
  test("come out in their order, with their fields, however long each takes", async () => {
    const engine = new FakeEngine();
    const slow = [..."jhfdbigeca"]; // the order in which they end
    const ended: string[] = [];
    engine.reply = (prompt) => [prompt[6]!.toUpperCase(), "!"];
    engine.pace = async (prompt) => {
      while (ended.length < slow.indexOf(prompt[6]!)) await new Promise(setImmediate);
    };
    const output = newFile();
    const told: GenerateProgress[] = [];
    const result = await generate(engine, letters, output, {
      report: (progress) => {
        ended.push("");
        told.push(progress);
      },
    });
    expect(linesOf(output)).toEqual(
      [..."ABCDEFGHIJ"].map((letter, id) => ({
        ...{ id, prompt: letter.toLowerCase(), completion: `${letter}!` },
        ...{ finish: "stop", prompt_tokens: 18, completion_tokens: 2 },
      })),
    );
    expect(engine.mostRunning).toBe(10);
    expect(result).toMatchObject({ done: 10, total: 10, continued: 0, tokens: 20 });
    expect(told.map(({ done, tokens }) => [done, tokens])).toEqual(
      [...Array(10).keys()].map((i) => [i + 1, 2 * i + 2]),
    );
    expect(existsSync(`${output}.partial`)).toBe(false);
  });

  test("are asked so many at a time", async () => {
    const engine = new FakeEngine();
    await generate(engine, letters, newFile(), { concurrency: 3 });
    expect([engine.mostRunning, engine.requests.length]).toEqual([3, 10]);
  });

  test("may be messages, have a system message of their own, or be continued as they are", async () => {
    const asked = async (rows: object[], prompts: PromptOptions): Promise<string[]> => {
      const engine = new FakeEngine();
      await generate(engine, writeJsonLines(join(folder, "kinds.jsonl"), rows), newFile(), { prompts });
      return engine.prompts;
    };
    const chat = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
      { role: "user", content: "c" },
    ];
    const own = { role: "system", content: "own" };
    expect(await asked([{ messages: chat }, { messages: [own, ...chat] }, { prompt: "d" }], { system: "s" })).toEqual([
      "[system]s[user]a[assistant]b[user]c[assistant]",
      "[system]own[user]a[assistant]b[user]c[assistant]",
      "[system]s[user]d[assistant]",
    ]);
    expect(await asked([{ prompt: "d" }], { raw: true })).toEqual(["^d"]);
  });

  test("may be the lines of a text", async () => {
    const output = newFile();
    await generate(new FakeEngine(), file("lines.txt", "\uFEFFone\r\n\n two\nthree"), output);
    expect(linesOf(output).map(({ prompt, completion }) => [prompt, completion])).toEqual([
      ["one", "echo one"],
      [" two", "echo  two"],
      ["three", "echo three"],
    ]);
  });

  test("get several answers, with log-probabilities, if asked for", async () => {
    const engine = new FakeEngine();
    engine.reply = (_, choice) => ["A", "B", "C"].slice(0, choice + 2);
    const output = newFile();
    await generate(engine, file("one.txt", "x"), output, { request: { choices: 2, logprobs: 1, maxNewTokens: 2 } });
    const score = (id: number, token: string) => ({ id, token, logprob: -0.5, top: [{ id, token, logprob: -0.5 }] });
    const scores = [score(0, "A"), score(1, "B")];
    expect(linesOf(output)).toEqual([
      {
        prompt: "x",
        completions: ["AB", "AB"],
        finish: ["stop", "length"],
        prompt_tokens: 18,
        completion_tokens: [2, 2],
        logprobs: [scores, scores],
      },
    ]);
  });

  test("each draw by the seed and their place, and by nothing that is not set", async () => {
    const [engine, again, free] = [new FakeEngine(), new FakeEngine(), new FakeEngine()];
    await generate(engine, letters, newFile(), { request: { seed: 3, temperature: 0.5 } });
    await generate(again, letters, newFile(), { request: { seed: 3 }, concurrency: 1 });
    await generate(free, letters, newFile());
    const seeds = engine.requests.map(({ seed }) => seed!);
    expect(new Set(seeds).size).toBe(10);
    expect(again.requests.map(({ seed }) => seed)).toEqual(seeds);
    expect(free.requests.map(({ seed }) => seed)).toEqual(Array(10).fill(undefined));
    expect(engine.requests[0]!.temperature).toBe(0.5);
  });
});

test.each([
  ["a.jsonl", '{"prompt": "a"}\n\n{"prompt": 3}\n', "a.jsonl:3: prompt: a number, expected text"],
  ["b.jsonl", '{"text": "a"}\n', 'b.jsonl:1: found "text"; expected "prompt" or "messages"'],
  ["c.jsonl", '{"prompt": "a"}\n{"messages": []}\n', "c.jsonl:2: messages: an empty list"],
  [
    "d.jsonl",
    '{"prompt": "a", "messages": [{"role": "user", "content": "b"}]}',
    'd.jsonl:1: both "prompt" and "messages"',
  ],
  [
    "e.jsonl",
    '{"messages": [{"role": "assistant", "content": "b"}]}',
    "e.jsonl:1: messages: the assistant's is the last",
  ],
  ["f.jsonl", '{"prompt": "a"}\n{"prompt": "refuse"}\n', "f.jsonl:2: chat template: not this"],
  [
    "g.jsonl",
    `{"prompt": "a"}\n{"prompt": "${"x".repeat(1000)}"}`,
    "g.jsonl:2: 1017 tokens, expected fewer than the 1000",
  ],
  ["h.jsonl", "{", "h.jsonl:1: is not JSON"],
  ["i.txt", "\n \n", "i.txt: holds no rows, expected at least one"],
  ["j.tsv", "a", "j.tsv: is of a kind that is not read"],
  ["k.txt", `a\n${"x".repeat(1000)}\n`, "k.txt:2: 1017 tokens"],
  ["l.txt", Buffer.from("a\r\ncaf\xe9\r\n", "latin1"), "l.txt:2: is not UTF-8 text, expected a prompt"],
])("%s is refused before anything is asked", async (name, text, message) => {
  const engine = new FakeEngine();
  const output = newFile();
  expect(await refusal(generate(engine, file(name, text), output))).toContain(message);
  expect([engine.requests.length, existsSync(output), existsSync(`${output}.partial`)]).toEqual([0, false, false]);
});

test("an output that cannot be written is refused before anything is asked, and that of the prompts stays", async () => {
  const before = readFileSync(letters, "utf8");
  const taken = join(folder, "taken.jsonl");
  mkdirSync(taken);
  for (const [output, message] of [
    [letters, `ConfigError: output: ${letters}, expected another file than the input`],
    [taken, `FileError: ${taken}: is a folder, expected a file to write`],
    ["x.txt", "FileError: x.txt: is of a kind that is not written, expected .jsonl, .jsonl.gz or .parquet"],
  ] as const) {
    const engine = new FakeEngine();
    expect(await refusal(generate(engine, letters, output))).toBe(message);
    expect([engine.requests.length, existsSync(`${output}.partial`)]).toEqual([0, false]);
  }
  expect(readFileSync(letters, "utf8")).toBe(before);
});

test("answers are written as the output's name says", async () => {
  const output = join(folder, "answers.parquet");
  await generate(new FakeEngine(), letters, output);
  const rows = await loadRows(output);
  expect(rows.map(({ fields }) => [fields.id, fields.completion])).toEqual(
    [..."abcdefghij"].map((letter, id) => [id, `echo ${letter}`]),
  );
});

test("messages cannot be continued as they are, nor a missing file be read", async () => {
  const rows = writeJsonLines(join(folder, "chat.jsonl"), [{ messages: [{ role: "user", content: "a" }] }]);
  expect(await refusal(readPromptRows(rows, { raw: true }))).toContain("chat.jsonl:1: messages: cannot be continued");
  expect(await refusal(readPromptRows(join(folder, "none.txt")))).toMatch(/none\.txt: no such file$/);
});

describe("a call that was stopped", () => {
  /** Stops by the signal, or by an error, when four rows are finished, or five; two run at a time. */
  async function stop(engine: FakeEngine, output: string, options: Partial<GenerateFileOptions> = {}): Promise<string> {
    const controller = new AbortController();
    return await refusal(
      generate(engine, letters, output, {
        ...{ concurrency: 2, signal: controller.signal, request: { seed: 1 } },
        report: ({ done }) => done >= 4 && controller.abort(),
        ...options,
      }),
    );
  }

  test("keeps what is finished, and is gone on with without asking again", async () => {
    const [first, second, whole] = [new FakeEngine(), new FakeEngine(), new FakeEngine()];
    const output = newFile();
    const message = await stop(first, output);
    const kept = linesOf(`${output}.partial`).length - 1;
    expect(kept).toBeOneOf([4, 5]);
    expect(message).toBe(
      `AbortedError: stopped after ${kept} of 10 prompts; the answers are in ${output}.partial, and --continue goes on with them`,
    );
    expect([existsSync(output), first.numRunning]).toEqual([false, 0]);

    const result = await generate(second, letters, output, { continue: true, request: { seed: 1 } });
    expect(result).toMatchObject({ done: 10, total: 10, continued: kept });
    expect([second.requests.length, existsSync(`${output}.partial`)]).toEqual([10 - kept, false]);
    const other = newFile();
    await generate(whole, letters, other, { request: { seed: 1 } });
    expect(readFileSync(output, "utf8")).toBe(readFileSync(other, "utf8"));
    expect([...first.requests.slice(0, kept), ...second.requests].map(({ seed }) => seed)).toEqual(
      whole.requests.map(({ seed }) => seed),
    );
  });

  test("by an error keeps them too, and ends the others", async () => {
    const engine = new FakeEngine();
    const output = newFile();
    engine.reply = (prompt) => (prompt[6] === "e" ? [new Error("the device is gone")] : ["x"]);
    expect(await refusal(generate(engine, letters, output, { concurrency: 2 }))).toBe("Error: the device is gone");
    expect([existsSync(output), engine.numRunning]).toEqual([false, 0]);
    expect(engine.requests.length).toBeLessThan(7);
    expect(linesOf(`${output}.partial`).length).toBeGreaterThan(4);
  });

  test("in the middle of a line loses that row alone", async () => {
    const engine = new FakeEngine();
    const output = newFile();
    await stop(new FakeEngine(), output);
    const kept = linesOf(`${output}.partial`).length - 1;
    const text = readFileSync(`${output}.partial`, "utf8");
    writeFileSync(`${output}.partial`, text.slice(0, -9));
    const { continued } = await generate(engine, letters, output, { continue: true, request: { seed: 1 } });
    expect([continued, engine.requests.length]).toEqual([kept - 1, 11 - kept]);
    expect(linesOf(output).map(({ id, completion }) => [id, completion])).toEqual(
      [..."abcdefghij"].map((letter, id) => [id, `echo ${letter}`]),
    );
  });

  test("before anything was finished leaves nothing", async () => {
    const output = newFile();
    const signal = AbortSignal.abort();
    expect(await refusal(generate(new FakeEngine(), letters, output, { signal }))).toBe(
      "AbortedError: stopped after 0 of 10 prompts",
    );
    expect(existsSync(`${output}.partial`)).toBe(false);
  });

  const stopped = "is of a call that was stopped; go on with it with --continue, or remove the file";

  test("is not begun again by accident, nor gone on with in another way", async () => {
    const output = newFile();
    await stop(new FakeEngine(), output);
    const engine = new FakeEngine();
    const go = (options: Partial<GenerateFileOptions>, input = letters): Promise<string> =>
      refusal(generate(engine, input, output, { continue: true, request: { seed: 1 }, ...options }));
    expect(await go({ continue: false })).toBe(`FileError: ${output}.partial: ${stopped}`);
    expect(await go({ continue: false, model: "n" })).toBe(`FileError: ${output}.partial: ${stopped}`);
    const why = `with which the records of ${output}.partial were made`;
    expect(await go({ request: { seed: 2 } })).toBe(`ConfigError: seed: 2, expected 1, ${why}`);
    expect(await go({ request: { seed: 1, topK: 3 } })).toBe(`ConfigError: topK: 3, expected not set, ${why}`);
    expect(await go({ model: "n" })).toBe(`ConfigError: model: "n", expected "m", ${why}`);
    expect(await go({ prompts: { system: "s" } })).toMatch(
      /^ConfigError: prompts: "10 with tokens \w{16}", expected "10 /,
    );
    expect(await go({}, file("other.txt", "a\nb"))).toMatch(
      /^ConfigError: prompts: "2 with tokens \w{16}", expected "10 /,
    );
    expect(engine.requests).toEqual([]);

    for (const text of ['{"mine": 1}\n', "mine"]) {
      writeFileSync(`${output}.partial`, text);
      expect(await go({})).toBe(
        `FileError: ${output}.partial: is there and is no journal of westwind, expected no such file`,
      );
      expect(readFileSync(`${output}.partial`, "utf8")).toBe(text);
    }
    writeFileSync(`${output}.partial`, '{"origin":{}}\nmine\n{}\n');
    expect(await go({})).toMatch(/^ConfigError: model: "m", expected not set/);
  });

  test("before the first row was written is begun again", async () => {
    const output = newFile();
    await stop(new FakeEngine(), output);
    const [origin] = readFileSync(`${output}.partial`, "utf8").split("\n");
    for (const text of ['{"origin":{"model":"n"', `${origin}\n{"ind`, ""]) {
      writeFileSync(`${output}.partial`, text);
      const engine = new FakeEngine();
      await generate(engine, letters, output, { request: { seed: 1 } });
      expect([engine.requests.length, linesOf(output).length]).toEqual([10, 10]);
    }
  });

  test("is not begun by a second process while it runs", async () => {
    const engine = new FakeEngine();
    const output = newFile();
    let other = "";
    engine.pace = async () => {
      other ||= await refusal(generate(new FakeEngine(), letters, output, { continue: true }));
    };
    await generate(engine, letters, output);
    expect(other).toBe(`FileError: ${output}.partial: is in use by process ${process.pid}`);
    expect(linesOf(output).length).toBe(10);
  });
});

test("--continue with nothing to go on with begins", async () => {
  const output = newFile();
  expect(await generate(new FakeEngine(), letters, output, { continue: true })).toMatchObject({
    continued: 0,
    done: 10,
  });
});

test("a prompt that the engine refuses is named by its row", async () => {
  const engine = new FakeEngine();
  const input = file("short.txt", "a\nb\n");
  const model = fakeModel(engine);
  const rows = await readPromptRows(input);
  engine.reply = () => {
    engine.maxTokens = 1; // as if what follows did not fit
    return ["x"];
  };
  const output = newFile();
  expect(await refusal(generateFile(model, rows, output, { model: "m", concurrency: 1 }))).toBe(
    `DataError: ${input}:2: prompt: no room`,
  );
});

test("hundreds that run at the same time cause no warning", async () => {
  const warnings: string[] = [];
  const listen = (warning: Error): void => void warnings.push(warning.message);
  process.on("warning", listen);
  const many = file("many.txt", "x\n".repeat(400));
  const engine = new FakeEngine();
  const { signal } = new AbortController();
  await generate(engine, many, newFile(), { signal });
  await new Promise(setImmediate);
  process.off("warning", listen);
  expect([warnings, engine.mostRunning]).toEqual([[], 256]);
});
