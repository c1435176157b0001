import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Random } from "../../lib/base/random.js";
import { temporaryFolder } from "../run/collect.js";
import { writeJsonLines } from "../run/small_model.js";
import { type Outcome, run, westwind } from "./command.js";

const folder = temporaryFolder();
const raw = writeJsonLines(join(folder, "raw.jsonl"), [
  { data: ["Hello. how are you?", "I am well."], source: "a" },
  { data: ["hello. how are you?", "Fine."], source: "b" },
  { data: ["What do you feel?", "I do not have feelings."] },
  { data: ["Tell me a tale.", "Once there was a fox.", "And then?"] },
]);
const pairs = writeJsonLines(join(folder, "pairs.jsonl"), [
  { prompt: "a", chosen: "b", rejected: "c" },
  { prompt: "a", chosen: "b" },
  { prompt: "a", chosen: "b", rejected: ["c"] },
]);

// Of the size that a run can be met half-way.
const random = new Random(5);
const words = () => Array.from({ length: 200 }, () => `w${random.below(50_000)}`).join(" ");
const texts = Array.from({ length: 40 }, words);
const large = join(folder, "large.jsonl");
writeFileSync(
  large,
  Array.from({ length: 30_000 }, (_, i) => `${JSON.stringify({ data: [`${i} is?`, `${i} ${texts[i % 40]}`] })}\n`).join(
    "",
  ),
);

describe("westwind data prepare", () => {
  test("says what it did on stderr, and prints nothing else", async () => {
    const output = join(folder, "prepared");
    const { code, stdout, stderr } = await run("data", "prepare", raw, `--output=${output}`, "--test-share=0");
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr).toMatch(
      /^rows: 4\ndropped, the row has an assistant that says .*: 1\ndropped, the row is an earlier row again: 1\nchanged, the user has .*: 1\nchanged, letters were made capital: 2\nkept: 2, 2 in train\ndone in [\d.]+ s: rows in .*prepared, report in .*prepared\/report\.md\n$/,
    );
    expect(readdirSync(output)).toEqual(["dropped.jsonl", "report.json", "report.md", "train.jsonl"]);
  });

  test("--json prints the report", async () => {
    const output = join(folder, "json");
    const flags = ["--no-truecase", "--no-refusals", "--exact-duplicates=off", "--near-duplicates=off", "--json"];
    const { code, stdout } = await run(
      "data",
      "prepare",
      raw,
      `--output=${output}`,
      ...flags,
      "--train-name=train_sft",
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ read: 4, kept: 4, changed: { truecased: { rows: 0 } } });
    expect(JSON.parse(stdout)).toEqual(JSON.parse(readFileSync(join(output, "report.json"), "utf8")));
    expect(existsSync(join(output, "train_sft.jsonl"))).toBe(true);
  });

  test.each([
    [["--similarity=2"], "--similarity: 2, expected a number above 0 and at most 1"],
    [["--test-share=1"], "--test-share: 1, expected a number from 0 to below 1"],
    [["--exact-duplicates=all"], "--exact-duplicates: all, expected one of prompt, dialogue, off"],
    [["--ngram=0"], "--ngram: 0, expected a positive integer"],
  ])("%j is a wrong command line", async (flags, message) => {
    const { code, stdout, stderr } = await run("data", "prepare", raw, `--output=${join(folder, "no")}`, ...flags);
    expect([code, stdout, stderr]).toEqual([2, "", `westwind: ${message}\n`]);
  });

  /** Sends the signal when the hidden folder beside the output is there. */
  async function stopped(output: string, signal: "SIGINT" | "SIGKILL"): Promise<Outcome> {
    const { process: child, outcome } = westwind(["data", "prepare", large, `--output=${output}`]);
    const hidden = () => readdirSync(folder).filter((name) => name.startsWith("."));
    while (!hidden().some((name) => readdirSync(join(folder, name)).includes("train.jsonl"))) await setTimeout(5);
    child.kill(signal);
    return outcome;
  }

  test("Ctrl-C leaves nothing and says so; after kill -9 the next run leaves nothing of it", async () => {
    const output = join(folder, "stopped");
    const before = readdirSync(folder);
    const { code, stdout, stderr } = await stopped(output, "SIGINT");
    expect([code, stdout]).toEqual([130, ""]);
    expect(stderr).toMatch(/\nwestwind: stopped after \d+ rows; nothing was written\n$/);
    expect(readdirSync(folder)).toEqual(before);

    expect(await stopped(output, "SIGKILL")).toMatchObject({ code: null, signal: "SIGKILL" });
    expect(existsSync(output)).toBe(false);
    expect((await run("data", "prepare", raw, `--output=${output}`)).code).toBe(0);
    expect(readdirSync(folder).sort()).toEqual([...before, "stopped"].sort());
  });
});

describe("westwind data stats", () => {
  test("counts in words and bars", async () => {
    const { code, stdout } = await run("data", "stats", raw);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^rows: 4, dialogue 4\nroles: user 5, assistant 4\nsources: none 2, a 1, b 1\n/);
    expect(stdout).toMatch(/^prompts that an earlier row has: 1$/m);
    expect(stdout).toMatch(/^answer, words +4 +14 +3\.5 +1 +1 +1 +3 +5 +5 +5 +5$/m);
    expect(stdout).toMatch(/^2 {2}#{40} {2}3\n3 {2}#{14} +1$/m);
  });

  test("--json, with tokens; broken rows are counted", async () => {
    const { code, stdout } = await run("data", "stats", pairs, "--json", "--tokenizer=test/fixtures/text/tiny-llama");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      rows: 3,
      broken: 2,
      kinds: { pair: 1 },
      lengths: { chosen: { tokens: { count: 1 } } },
    });
  });
});

describe("westwind data head", () => {
  test("shows rows a line a field, texts cut", async () => {
    const { code, stdout } = await run("data", "head", raw, "-n", "2", "--width=7");
    expect(code).toBe(0);
    expect(stdout).toBe(
      `${raw}:1\ndata:\n  Hello. ... (19)\n  I am we... (10)\nsource: a\n\n${raw}:2\ndata:\n  hello. ... (19)\n  Fine.\nsource: b\n`,
    );
  });

  test("shows no characters that steer a terminal", async () => {
    const row = { "\u009b1m": "red \u001b[31m", messages: [{ role: "\u0007", content: "\u0000 nul\t\r\nend" }] };
    const { stdout } = await run("data", "head", writeJsonLines(join(folder, "steers.jsonl"), [row]));
    expect(stdout.split("\n").slice(1)).toEqual([
      "\ufffd1m: red \ufffd[31m",
      "messages:",
      "  \ufffd: \ufffd nul end",
      "",
    ]);
  });

  test("--json prints rows as they are", async () => {
    const { stdout } = await run("data", "head", raw, "-n1", "--json");
    expect(stdout).toBe('{"data":["Hello. how are you?","I am well."],"source":"a"}\n');
    expect((await run("data", "head", raw, "-n0")).stderr).toBe("westwind: --number: 0, expected a positive integer\n");
  });
});

describe("what is printed", () => {
  const into = (command: string, ...args: string[]) => westwind(["data", ...args], ["bash", "-c", command]).outcome;

  test("ends without a word when nobody reads on", async () => {
    for (const args of [
      ["head", large, "-n30000"],
      ["validate", large, "--for=sft", "--show=30000"],
    ]) {
      const { code, stderr } = await into('set -o pipefail; "$0" "$@" | head -c 1', ...args);
      expect([code, stderr]).toEqual([141, ""]);
    }
  });

  test.skipIf(!existsSync("/dev/full"))("says where it cannot be", async () => {
    const { code, stderr } = await into('"$0" "$@" > /dev/full', "head", raw);
    expect([code, stderr]).toEqual([1, "westwind: stdout: ENOSPC: no space left on device, write\n"]);
  });
});

describe("westwind data validate", () => {
  test("tells broken rows by file and line, and exits with 1", async () => {
    const { code, stdout, stderr } = await run("data", "validate", pairs);
    expect(code).toBe(1);
    expect(stdout).toBe(
      `${pairs}:2: found "prompt", "chosen"; expected "chosen" and "rejected"\n${pairs}:3: prompt and chosen text, but rejected is a list; expected all text or all lists of messages\n`,
    );
    expect(stderr).toBe(`westwind: ${pairs}: 2 of 3 rows are broken for dpo, expected none\n`);
  });

  test("--json, --show, --for", async () => {
    const { code, stdout } = await run("data", "validate", pairs, "--json", "--show=1");
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ for: "dpo", rows: 3, broken: 2, shown: [{ file: pairs, line: 2 }] });
    const sft = await run("data", "validate", raw, "--for=sft");
    expect([sft.code, sft.stdout.split("\n").length]).toEqual([1, 5]);
    expect((await run("data", "validate", raw, "--for=rl")).stderr).toBe(
      "westwind: --for: rl, expected one of sft, dpo, feedback, prepare\n",
    );
  });

  test("of UltraChat's rows, those that prepare would not take", async () => {
    const rows = [{ data: ["a", "b", "c"] }, { data: ["a", " "] }, { data: ["a"] }];
    const some = writeJsonLines(join(folder, "ultrachat.jsonl"), rows);
    const { stdout, stderr } = await run("data", "validate", some);
    expect(stdout).toBe(
      `${some}:2: turn 2: " ", expected text\n${some}:3: 1 turns, expected a question and an answer\n`,
    );
    expect(stderr).toBe(`westwind: ${some}: 2 of 3 rows are broken for prepare, expected none\n`);
  });

  test("rows that are right are said to be", async () => {
    const good = writeJsonLines(join(folder, "good.jsonl"), [
      { instruction: "a", completions: [{ response: "b", overall_score: 3 }] },
    ]);
    const { code, stdout, stderr } = await run("data", "validate", good);
    expect([code, stdout, stderr]).toEqual([0, "", "rows: 1, all right for feedback\n"]);
  });
});
