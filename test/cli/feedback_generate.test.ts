import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { FeedbackReport } from "../../lib/cli/feedback_report.js";
import { main } from "../../lib/cli/program.js";
import type { FeedbackProgress } from "../../lib/run/feedback_progress.js";
import { FakeEndpoint } from "../feedback/fake_endpoint.js";
import { FakeEngine, fakeModel } from "../generate/fake_engine.js";
import { temporaryFolder } from "../run/collect.js";
import { writeJsonLines } from "../run/small_model.js";
import { westwind } from "./command.js";

const folder = temporaryFolder();
let endpoint = await FakeEndpoint.start();
afterAll(() => endpoint[Symbol.asyncDispose]());
afterEach(() => vi.restoreAllMocks());
beforeEach(async () => {
  await endpoint[Symbol.asyncDispose]();
  endpoint = await FakeEndpoint.start();
});

const prompts = writeJsonLines(
  join(folder, "prompts.jsonl"),
  Array.from({ length: 10 }, (_, i) => ({ prompt: `number ${i}` })),
);

let numRuns = 0;

/** A recipe of two models behind the endpoint and one of this machine. */
function write(text = ""): { recipe: string; output: string } {
  const name = join(folder, `${numRuns++}`);
  const [recipe, output] = [`${name}.yaml`, `${name}.jsonl`];
  const lines = [
    `prompts: ${prompts}`,
    `output: ${output}`,
    "completions_per_prompt: 2",
    "models:",
    ...["a", "b"].map(
      (model) =>
        `  - {model: ${model}, endpoint: "${endpoint.url}", price: {input: 1000, output: 1000}, max_tokens: 5}`,
    ),
    "  - model: models/sft",
    text,
  ];
  writeFileSync(recipe, lines.join("\n"));
  return { recipe, output };
}

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    vi.spyOn(process[name], "write").mockImplementation((chunk) => {
      text[name] += chunk;
      return true;
    });
  }
  const code = await main(["feedback", "generate", ...args], async () => fakeModel(new FakeEngine()));
  vi.restoreAllMocks();
  return { code, ...text };
}

test("rows are written, and what was done is told", async () => {
  const { recipe, output } = write();
  const { code, stdout, stderr } = await run(recipe, "--json", "--principles={}", "--models.1.temperature=0.5");
  expect(code).toBe(0);
  expect(stderr).toMatch(/^\d+\/20 answers {2}\S+\/s {2}.+ left .*\(a \d\/\d+ .*, b .*, sft .*\)\n/m);
  expect(stderr).toMatch(/\n20 of 20 answers, \d\.\d s\nmodel {2}wanted {2}answered {2}failed .*\na {6}/);
  expect(stderr).toMatch(new RegExp(`\\ncompletions in ${output}\\n$`));
  expect(JSON.parse(stdout)).toMatchObject({ done: 20, failed: 0, prompts: 10, output, failures: [] });
  expect(readFileSync(output, "utf8").split("\n").length).toBe(11);
  const temperatures = endpoint.requests.map(({ body }) => `${body.model} ${body.temperature}`);
  expect(new Set(temperatures)).toEqual(new Set(["a 1", "b 0.5"]));

  const again = await run(recipe, "--principles={}", "--models.1.temperature=0.5");
  expect([again.code, again.stderr.split("\n")[0]]).toEqual([0, "there already: 20 of 20 answers"]);
});

test("--dry-run tells the plan and asks nothing", async () => {
  const { recipe, output } = write();
  const { code, stdout, stderr } = await run(recipe, "--dry-run", "--json");
  expect(code).toBe(0);
  expect(stderr).toMatch(
    /^prompts: 10\njournal: nothing in .*\.jsonl\.journal\nmodel {2}answers .*\na .*\nb .*\nsft .*\ncost in all: at most \d+\.\d\d\n$/,
  );
  expect(JSON.parse(stdout).models.map(({ model }: { model: string }) => model)).toEqual(["a", "b", "sft"]);
  expect([endpoint.requests.length, existsSync(`${output}.journal`)]).toEqual([0, false]);
});

test("a budget that is used up has an exit code of its own", async () => {
  const { recipe } = write("budget: {cost: 0.2}");
  const { code, stderr } = await run(recipe);
  expect(code).toBe(3);
  expect(stderr).toMatch(
    /\d+ of 20 answers, .*\n[\s\S]*westwind: budget: a cost of 0\.2, of which 0\.\d+ is spent; the next answer may take 0\.\d+\n$/,
  );
  expect((await run(recipe, "--budget.cost=2")).code).toBe(0);
  expect(endpoint.requests.length).toBe(
    new Set(endpoint.requests.map(({ body, prompt }) => `${body.model} ${prompt}`)).size,
  );
});

test("failures are told with their reasons, and asked for again with --retry-failed", async () => {
  endpoint.behave = () => ({ kind: "reply", status: 400, body: { error: "not this" } });
  const { recipe } = write("failures_in_a_row: 100");
  const { code, stderr } = await run(recipe);
  expect(code).toBe(0);
  for (const model of ["a", "b"]) expect(stderr).toMatch(new RegExp(`\nfailed, \\d: ${model}: HTTP 400: not this\n`));
  endpoint.behave = () => ({ kind: "answer", text: "x" });
  expect((await run(recipe)).stderr).toContain("failed,");
  expect((await run(recipe, "--retry-failed")).stderr).not.toContain("failed,");
});

test.each<[string[], number, RegExp]>([
  [["nowhere.yaml"], 1, /^westwind: nowhere\.yaml: no such file, expected a recipe\n$/],
  [["--models=[]"], 1, /^westwind: prompts: missing, expected a file or folder of rows, or a name on the hub\n/],
  [["RECIPE", "--temperature=1"], 1, /^westwind: temperature: unknown key\n$/],
  [["RECIPE", "--seed=x"], 1, /^westwind: seed: "x", expected an integer >= 0\n$/],
  [["RECIPE", "seed=1"], 2, /^westwind: seed=1: expected --key=value\n$/],
  [["RECIPE", "--prompts=none.jsonl"], 1, /^westwind: none\.jsonl: is missing/],
  [
    ["RECIPE", "--models.0.api_key_env=NO_SUCH_KEY"],
    1,
    /^westwind: models\.0\.api_key_env: NO_SUCH_KEY is not set in the environment/,
  ],
])("%j is refused", async (args, code, message) => {
  const result = await run(...args.map((arg) => (arg === "RECIPE" ? write().recipe : arg)));
  expect(result).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(message) });
  expect(endpoint.requests.length).toBe(0);
});

test("on a terminal every answer moves one line", () => {
  let shown = "";
  const report = new FeedbackReport({ isTTY: true, columns: 200, write: (text) => (shown += text) });
  const one = { model: "m", done: 1, total: 4, failed: 0, prompt_tokens: 5, completion_tokens: 5, cost: 0.5 };
  const now: FeedbackProgress = { done: 1, total: 4, failed: 0, continued: 0, seconds: 2, cost: 0.5, models: [one] };
  report.report({ ...now, done: 0 });
  report.report(now);
  expect(shown.split("\r").at(-1)).toBe("1/4 answers  0.5/s  6.0 s left  cost 0.50  (m 1/4 0.50)");
  report.report({ ...now, done: 2, failed: 1 });
  expect(shown.split("\r").at(-1)).toMatch(/^2\/4 answers {2}1\/s {2}2\.0 s left {2}1 failed {2}cost 0\.50/);
});

describe("the command itself", () => {
  /** Without the model of this machine. */
  const remote = ({ recipe }: { recipe: string }): string[] => [
    ...["feedback", "generate", recipe, "--completions_per_prompt=1"],
    `--models=[{model: a, endpoint: "${endpoint.url}", concurrency: 2}]`,
  ];
  const keptIn = (output: string): number => readFileSync(`${output}.journal`, "utf8").split("\n").length - 2;

  test("waits for what is on its way after Ctrl-C, exits with 130, and goes on", async () => {
    endpoint.behave = () => ({ kind: "answer", text: "x", delay: 150 });
    const files = write();
    const { process: child, outcome } = westwind(remote(files));
    while (endpoint.requests.length < 5) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill("SIGINT");
    const { code, stderr } = await outcome;
    expect(code).toBe(130);
    expect(stderr).toMatch(/\nwestwind: stopping after this answer; once more to stop at once\n/);
    expect(stderr).toMatch(
      /\nwestwind: stopped after \d of 10 answers; they are in .*\.journal, and the same command goes on\n$/,
    );
    expect(keptIn(files.output)).toBe(endpoint.requests.length);
    expect((await westwind(remote(files)).outcome).code).toBe(0);
    expect(endpoint.requests.length).toBe(10);
  });

  // A limit on the size of files stands for a full disk.
  test.skipIf(process.platform === "win32")("ends with a full disk, and loses nothing that it kept", async () => {
    endpoint.behave = ({ prompt }) => ({ kind: "answer", text: `${prompt} ${"x".repeat(3000)}` });
    const files = write();
    const command = `trap "" XFSZ; ulimit -f 16; exec "$0" "$@"`;
    const { code, stderr } = await westwind(remote(files), ["bash", "-c", command]).outcome;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /\nwestwind: .*\.journal: cannot be written: larger than the system lets a file be; the \d records in it are whole\n$/,
    );
    const kept = keptIn(files.output);
    expect([kept, existsSync(files.output)]).toEqual([Number(/the (\d) records/.exec(stderr)![1]), false]);
    const before = endpoint.requests.length;
    expect((await westwind(remote(files)).outcome).code).toBe(0);
    expect(endpoint.requests.length).toBe(before + 10 - kept);
    expect(readFileSync(files.output, "utf8").split("\n").length).toBe(11);
  });
});
