import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterEach, expect, test, vi } from "vitest";

import { GenerateReport } from "../../lib/cli/generate.js";
import { main } from "../../lib/cli/program.js";
import type { LoadTextModel } from "../../lib/run/load_engine.js";
import { FakeEngine, fakeModel } from "../generate/fake_engine.js";
import { temporaryFolder } from "../run/collect.js";

const folder = temporaryFolder();
afterEach(() => vi.restoreAllMocks());

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly engine: FakeEngine;
  readonly loaded: unknown[];
}

/** Runs a command line with a fake model. */
async function run(args: readonly string[], engine = new FakeEngine()): Promise<Ran> {
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    vi.spyOn(process[name], "write").mockImplementation((chunk) => {
      text[name] += chunk;
      return true;
    });
  }
  const loaded: unknown[] = [];
  const model = fakeModel(engine);
  const load: LoadTextModel = async (path, { device, chatTemplate }) => {
    loaded.push([path, device, chatTemplate]);
    return model;
  };
  const code = await main(args, load);
  vi.restoreAllMocks();
  expect(model.isDisposed).toBe(loaded.length > 0);
  return { code, ...text, engine, loaded };
}

const ask = (...args: string[]): Promise<Ran> => run(["generate", "--model=m", "--prompt=Hi", ...args]);

test("a prompt is answered, with the defaults", async () => {
  const { code, stdout, stderr, engine, loaded } = await ask();
  expect([code, stdout, stderr, loaded]).toEqual([0, "echo Hi\n", "", [["m", "auto", undefined]]]);
  expect(engine.requests[0]).toMatchObject({ maxNewTokens: 256, temperature: 0.7, topP: 0.95, seed: 0, choices: 1 });
  expect(engine.requests[0]).not.toMatchObject({ topK: expect.anything() });
});

test("every flag reaches the engine", async () => {
  const { engine, loaded } = await ask(
    ...["--max-new-tokens=5", "--temperature=0", "--top-p=0.5", "--top-k=7", "--min-p=0.1", "--repetition-penalty=1.2"],
    ...[
      "--presence-penalty=-1",
      "--frequency-penalty",
      "-0.5",
      "--seed=9",
      "--stop",
      "END",
      "--stop=\n",
      "--choices=2",
    ],
    ...["--device=cpu", "--chat-template=zephyr", "--system=s"],
  );
  expect(engine.requests[0]).toMatchObject({
    ...{ maxNewTokens: 5, temperature: 0, topP: 0.5, topK: 7, minP: 0.1, repetitionPenalty: 1.2 },
    ...{ presencePenalty: -1, frequencyPenalty: -0.5, seed: 9, stop: ["END", "\n"], choices: 2 },
  });
  expect([engine.prompts, loaded]).toEqual([["[system]s[user]Hi[assistant]"], [["m", "cpu", "zephyr"]]]);
});

test("--json prints an object, one a line for several choices; --raw continues the text", async () => {
  const one = await ask("--json", "--raw");
  expect(JSON.parse(one.stdout)).toEqual({ text: "echo ^Hi", finish: "stop", prompt_tokens: 3, completion_tokens: 8 });
  const engine = new FakeEngine();
  engine.reply = (_, choice) => (choice === 0 ? ["A"] : ["B", "C"]);
  const args = ["--prompt=x", "--choices=2", "--logprobs=1", "--max-new-tokens=1", "--json"];
  const several = await run(["generate", "--model=m", ...args], engine);
  const answer = (text: string, finish: string) => {
    const token = { id: 0, token: text, logprob: -0.5 };
    return { text, finish, prompt_tokens: 18, completion_tokens: 1, logprobs: [{ ...token, top: [token] }] };
  };
  expect(
    several.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual([answer("A", "stop"), answer("B", "length")]);
});

test.each([
  ["--max-new-tokens=0", "--max-new-tokens: 0, expected a positive integer"],
  ["--temperature=", "--temperature: empty, expected a number from 0 up"],
  ["--temperature=Infinity", "--temperature: Infinity, expected a number from 0 up"],
  ["--top-p=0", "--top-p: 0, expected a number above 0 and at most 1"],
  ["--top-k=1.5", "--top-k: 1.5, expected a whole number"],
  ["--min-p=2", "--min-p: 2, expected a number from 0 to 1"],
  ["--repetition-penalty=0", "--repetition-penalty: 0, expected a number above 0"],
  ["--presence-penalty=x", "--presence-penalty: x, expected a number"],
  ["--frequency-penalty=NaN", "--frequency-penalty: NaN, expected a number"],
  ["--seed=-1", "--seed: -1, expected a whole number"],
  ["--choices=0", "--choices: 0, expected a positive integer"],
  ["--logprobs=-1", "--logprobs: -1, expected a whole number"],
  ["--logprobs=1", "--logprobs: expected --json beside it"],
  ["--concurrency=0", "--concurrency: 0, expected a positive integer"],
  ["--concurrency=2", "--concurrency: expected --prompts beside it"],
  ["--output=x", "--output: expected --prompts beside it"],
  ["--continue", "--continue: expected --prompts beside it"],
  ["--stop=", "--stop: empty, expected a text"],
  ["--prompts=x", "--prompts: expected no --prompt beside it"],
])("%s is a wrong command line", async (flag, message) => {
  const { code, stdout, stderr, loaded } = await ask(flag);
  expect([code, stdout, stderr, loaded]).toEqual([2, "", `westwind: ${message}\n`, []]);
});

test.each([
  [[], "--prompt or --prompts is missing"],
  [["--prompts=x.txt"], "--prompts: expected --output beside it"],
])("%j lacks something", async (args, message) => {
  const { code, stderr } = await run(["generate", "--model=m", ...args]);
  expect([code, stderr]).toEqual([2, `westwind: ${message}\n`]);
});

const answers = join(folder, "answers.jsonl");
const prompts = join(folder, "prompts.txt");
writeFileSync(prompts, [..."abcdefghijklmnopqrst"].join("\n"));
const askFile = (engine: FakeEngine, ...args: string[]): Promise<Ran> =>
  run(["generate", "--model=m", `--prompts=${prompts}`, `--output=${answers}`, ...args], engine);

test("a file of prompts is answered, with progress on stderr", async () => {
  const { code, stdout, stderr } = await askFile(new FakeEngine(), "--json", "--system=s", "--concurrency=1");
  expect([code, JSON.parse(stdout)]).toMatchObject([
    0,
    { prompts: 20, continued: 0, completion_tokens: 120, seconds: expect.any(Number), output: answers },
  ]);
  const progress = stderr.trim().split("\n");
  expect(progress.length).toBe(10);
  expect(progress[0]).toMatch(/^2\/20 prompts {2}12 tokens {2}[\d.,]+ tokens\/s {2}[\d.]+ s left$/);
  expect(progress[9]).toMatch(/^done: 20\/20 prompts {2}120 tokens {2}.* tokens\/s, answers in .*answers\.jsonl$/);
  const rows = readFileSync(answers, "utf8").trim().split("\n");
  expect(rows.map((row) => JSON.parse(row).completion)).toEqual([..."abcdefghijklmnopqrst"].map((c) => `echo ${c}`));
});

test("a bad row is said before the model is loaded", async () => {
  const bad = join(folder, "bad.jsonl");
  writeFileSync(bad, '{"prompt": "a"}\n{"prompt": 1}\n');
  const { code, stdout, stderr, loaded } = await run(["generate", "--model=m", `--prompts=${bad}`, "--output=x.jsonl"]);
  expect([code, stdout, stderr]).toEqual([1, "", `westwind: ${bad}:2: prompt: a number, expected text\n`]);
  expect(loaded).toEqual([]);
});

test("Ctrl-C keeps what is finished, and --continue goes on", async () => {
  const before = readFileSync(answers, "utf8");
  const engine = new FakeEngine();
  engine.reply = (prompt) => {
    if (prompt[6] === "d") process.emit("SIGINT");
    return ["x"];
  };
  const stopped = await askFile(engine, "--concurrency=1");
  expect([stopped.code, stopped.stdout]).toEqual([130, ""]);
  expect(stopped.stderr).toMatch(
    /\nwestwind: stopped after 3 of 20 prompts; the answers are in .*\.jsonl\.partial, and /,
  );
  expect(readFileSync(answers, "utf8")).toBe(before);

  const forgotten = await askFile(new FakeEngine());
  expect([forgotten.code, forgotten.engine.requests.length]).toEqual([1, 0]);
  const other = await askFile(new FakeEngine(), "--continue", "--top-k=2");
  expect(other.stderr).toMatch(/^westwind: --top-k: 2, expected not set, with which the records of .* were made\n$/);
  const finished = await askFile(new FakeEngine(), "--continue");
  expect([finished.code, finished.engine.requests.length]).toEqual([0, 17]);
  const rows = readFileSync(answers, "utf8").trim().split("\n");
  expect(rows.map((row) => JSON.parse(row).completion).slice(0, 5)).toEqual(["x", "x", "x", "echo d", "echo e"]);
  expect(existsSync(`${answers}.partial`)).toBe(false);
});

test("on a terminal progress is one line, drawn over", () => {
  let text = "";
  const terminal = { isTTY: true, columns: 80, write: (chunk: string) => (text += chunk) };
  const shown = new GenerateReport(terminal);
  for (const done of [3, 4]) shown.report({ done, total: 4, continued: 2, tokens: 10 * done, seconds: 2 });
  shown.end();
  expect(
    stripVTControlCharacters(text)
      .split("\r")
      .map((line) => line.trimEnd()),
  ).toEqual([
    ...["", "3/4 prompts  30 tokens  15 tokens/s  2.0 s left", "4/4 prompts  40 tokens  20 tokens/s  0.0 s left"],
    ...["", ""],
  ]);
});

test("chat has the same flags, and says what they cannot be", async () => {
  const { code, stderr } = await run(["chat", "--model=m", "--min-p=7"]);
  expect([code, stderr]).toEqual([2, "westwind: --min-p: 7, expected a number from 0 to 1\n"]);
  expect((await run(["chat"])).stderr).toBe(
    "westwind: required option '--model <folder>' not specified; see westwind chat --help\n",
  );
  const help = await run(["chat", "--help"]);
  for (const flag of ["--system <text>", "--no-history", "--max-new-tokens <number>", "--device <name>"]) {
    expect(help.stdout).toContain(flag);
  }
});
