import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { parseFeedbackScore } from "../../lib/recipe/feedback_score.js";
import { binarizeFile, compareJudgeFiles } from "../../lib/run/feedback.js";
import type { FeedbackProgress } from "../../lib/run/feedback_progress.js";
import type { LoadTextModel } from "../../lib/run/load_engine.js";
import { loadEngine } from "../../lib/run/load_engine.js";
import { type ScoreFeedbackOptions, type ScoreSummary, scoreFeedback } from "../../lib/run/score_feedback.js";
import { planScore } from "../../lib/run/score_plan.js";
import { FakeEndpoint, type FakeRequest } from "../feedback/fake_endpoint.js";
import { completionRows, ratingReply, readQuestion } from "../feedback/fake_judge.js";
import { refusal, temporaryFolder } from "./collect.js";
import { makeModel, writeJsonLines } from "./small_model.js";

const folder = temporaryFolder();
let endpoint = await FakeEndpoint.start();
afterAll(() => endpoint[Symbol.asyncDispose]());
beforeEach(async () => {
  await endpoint[Symbol.asyncDispose]();
  endpoint = await FakeEndpoint.start();
  endpoint.behave = (request) => ({ kind: "answer", text: ratingReply(request) });
});

interface Completion {
  readonly response: string;
  readonly annotations: Readonly<Record<string, { readonly Rating: string; readonly Rationale: string }>>;
  readonly overall_score?: number;
}

const linesOf = (path: string): { completions: Completion[] }[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

let numFiles = 0;
const newOutput = (): string => join(folder, `${numFiles++}/scored.jsonl`);
const input = writeJsonLines(join(folder, "completions.jsonl"), completionRows(10, [5, 3, "N/A", 1]));
const numbers = writeJsonLines(join(folder, "numbers.jsonl"), completionRows(10, [5, 3, 4, 1]));

const recipeOf = (output: string, keys: object = {}) => {
  const judge = { model: "judge", endpoint: endpoint.url, max_wait: 0 };
  const { judge: own = {}, ...others } = keys as { judge?: object };
  return parseFeedbackScore({ text: JSON.stringify({ input, output, judge: { ...judge, ...own }, ...others }) });
};
const score = (output: string, keys: object = {}, options: ScoreFeedbackOptions = {}): Promise<ScoreSummary> =>
  scoreFeedback(recipeOf(output, keys), options);

/** What was asked, apart from the order in which answers were shown. */
const asked = (): string[] =>
  endpoint.requests.map((request) => {
    const { quality, answers } = readQuestion(request);
    return `${quality}: ${answers.toSorted().join(" | ")}`;
  });

describe("the rows", () => {
  test("have each answer's own ratings, however it was shown, and pairs can be made of them", async () => {
    const output = newOutput();
    const summary = await score(output, {
      input: numbers,
      overall: true,
      aspects: ["honesty", "helpfulness"],
      limit: 9,
    });
    expect(summary).toMatchObject({ rows: 9, done: 27, total: 27, failed: 0, continued: 0, output });
    expect(endpoint.requests.length).toBe(27);
    expect(new Set(asked()).size).toBe(27);
    const rows = linesOf(output);
    expect(rows.length).toBe(9);
    const annotation = (quality: string, response: string, Rating: string) => {
      return { Rating, Rationale: `${quality} of ${response}` };
    };
    const [first] = rows[4]!.completions;
    expect(first).toEqual({
      ...{ model: "model-0", principle: null, custom_system_prompt: null, response: "4, worth 5" },
      annotations: {
        honesty: annotation("honesty about what it knows", "4, worth 5", "5"),
        helpfulness: annotation("helpfulness", "4, worth 5", "5"),
      },
      ...{ "fine-grained_score": 5, overall_score: 5, critique: "overall quality of 4, worth 5" },
    });
    for (const [i, row] of rows.entries()) {
      expect(row.completions.map(({ annotations }) => annotations.helpfulness!.Rating)).toEqual(["5", "3", "4", "1"]);
      expect(row.completions[3]!.response).toMatch(new RegExp(`^${i}, worth 1`));
    }
    const pairs = await binarizeFile(output, join(folder, "pairs.jsonl"), {});
    expect(pairs).toMatchObject({ pairs: 9, unscoredCompletions: 0 });
  });

  test("an overall score that cannot be N/A fails as a whole; what failed is left out, counted and told", async () => {
    const output = newOutput();
    const summary = await score(output, { aspects: ["honesty"], overall: true, limit: 2, judge: { attempts: 2 } });
    expect(summary).toMatchObject({ done: 4, failed: 2, judge: { criteria: { overall: { calls: 2, failed: 2 } } } });
    expect(endpoint.requests.length).toBe(2 + 2 * 2);
    expect(summary.failures[0]).toMatchObject({
      ...{ row: `${input}:1`, prompt_id: "p0", criterion: "overall", failed: "unread" },
      reason: expect.stringMatching(/^answer \d: "N\/A", expected a number from 1 to 10$/),
      raw: expect.stringContaining('"rating":"N/A"'),
    });
    for (const { completions } of linesOf(output)) {
      expect(completions.every((one) => one.overall_score === undefined && one.annotations.honesty)).toBe(true);
    }
    const report = JSON.parse(readFileSync(summary.reports[1], "utf8"));
    expect(report).toMatchObject({ judge: "judge", rows: 2, failures: summary.failures });
  });

  test("a chat is shown whole, rows that are alike are asked once, and empty answers not at all", async () => {
    const [row] = completionRows(1, [4, 2]) as [Record<string, unknown> & { completions: object[] }];
    const messages = [
      { role: "system", content: "Be a pirate." },
      { role: "user", content: "number 0" },
    ];
    const empty = { ...row, completions: row.completions.map((one) => ({ ...one, response: " " })) };
    const earlier = { annotations: { honesty: { Rating: "good" } }, overall_score: "?", critique: "!" };
    const scored = { ...row, completions: row.completions.map((one) => ({ ...one, ...earlier })) };
    const rows = [row, { ...row, messages }, scored, empty];
    const output = newOutput();
    const summary = await score(output, {
      input: writeJsonLines(join(folder, "alike.jsonl"), rows),
      aspects: "honesty",
    });
    expect(summary).toMatchObject({ rows: 4, total: 2 });
    const shown = endpoint.requests.map(({ prompt }) => prompt).filter((prompt) => prompt.includes("Be a pirate."));
    expect(shown.length).toBe(1);
    expect(shown[0]).toContain('<message from="system">\nBe a pirate.\n</message>');
    expect(linesOf(output).map(({ completions }) => completions.map((one) => one.annotations.honesty?.Rating))).toEqual(
      [
        ...[
          ["4", "2"],
          ["4", "2"],
          ["4", "2"],
          [undefined, undefined],
        ],
      ],
    );
  });
});

describe("a run that ends early", () => {
  /** Stops it when so many verdicts are kept. */
  async function stopAfter(count: number, output: string, keys: object = {}): Promise<void> {
    const controller = new AbortController();
    const report = ({ done }: FeedbackProgress) => done >= count && controller.abort();
    await expect(score(output, keys, { report, signal: controller.signal })).rejects.toThrow(
      /stopped after \d+ of 40 verdicts; they are in .*scored.jsonl.journal, and the same command goes on/,
    );
  }

  test("goes on without asking for anything twice, and ends as one that was not stopped", async () => {
    const [whole, output] = [newOutput(), newOutput()];
    await score(whole);
    endpoint.requests.length = 0;
    await stopAfter(7, output);
    expect(existsSync(output)).toBe(false);
    await stopAfter(20, output, { judge: { concurrency: 2 } });
    const seen: FeedbackProgress[] = [];
    await score(output, {}, { report: (progress) => seen.push(progress) });
    expect(seen[0]!.continued).toBeGreaterThanOrEqual(20);
    expect(endpoint.requests.length).toBe(40);
    expect(new Set(asked()).size).toBe(40);
    expect(readFileSync(output)).toEqual(readFileSync(whole));
    await score(output);
    expect(endpoint.requests.length).toBe(40);
  });

  test("a signal that comes with the last verdict has stopped nothing", async () => {
    const output = newOutput();
    const controller = new AbortController();
    const report = ({ done }: FeedbackProgress) => done === 40 && controller.abort();
    expect(await score(output, {}, { report, signal: controller.signal })).toMatchObject({ done: 40, failed: 0 });
    expect(linesOf(output).length).toBe(10);
  });

  test("more rows and other aspects are added; another judge or seed is another run", async () => {
    const output = newOutput();
    await score(output, { limit: 3, aspects: ["honesty"] });
    await score(output, { limit: 4, aspects: ["honesty", "truthfulness"] });
    expect(endpoint.requests.length).toBe(8);
    expect(await refusal(score(output, { seed: 1 }))).toMatch(/^ConfigError: seed: 1, expected 0, with which/);
    const other = await refusal(score(output, { judge: { model: "other" } }));
    expect(other).toMatch(/^ConfigError: judge.model: "other", expected "judge", with which/);
    expect(endpoint.requests.length).toBe(8);
  });

  test("a budget ends it, what earlier runs spent counts, and a larger one goes on", async () => {
    const output = newOutput();
    const usage = { prompt_tokens: 1000, completion_tokens: 100 };
    endpoint.behave = (request) => ({ kind: "answer", text: ratingReply(request), usage });
    const keys = (tokens: number) => ({ budget: { tokens }, judge: { max_tokens: 200, concurrency: 1 } });
    expect(await refusal(score(output, keys(8000)))).toMatch(/^BudgetError: budget: 8,000 tokens, of which /);
    const first = endpoint.requests.length;
    expect(first).toBeGreaterThan(3);
    expect(first).toBeLessThan(8);
    expect(await refusal(score(output, keys(8000)))).toMatch(/^BudgetError: budget: 8,000 tokens, of which /);
    expect(endpoint.requests.length).toBe(first);
    await score(output, keys(100_000));
    expect(endpoint.requests.length).toBe(40);
  });

  test("what was refused stays failed until it is asked for again; what did not come is asked for", async () => {
    const output = newOutput();
    const refuse = (status: number) => (request: FakeRequest) =>
      readQuestion(request).answers.some((text) => text.startsWith("1,"))
        ? ({ kind: "reply", status } as const)
        : ({ kind: "answer", text: ratingReply(request) } as const);
    endpoint.behave = refuse(400);
    const keys = { limit: 2, aspects: ["honesty"], judge: { tries: 1, json: false } };
    expect(await score(output, keys)).toMatchObject({ failed: 1, failures: [{ failed: "refused", prompt_id: "p1" }] });
    endpoint.behave = refuse(500);
    expect(await score(output, keys)).toMatchObject({ failed: 1, failures: [{ failed: "refused" }] });
    expect(endpoint.requests.length).toBe(2);
    expect(await score(output, keys, { retryFailed: true })).toMatchObject({ failures: [{ failed: "unavailable" }] });
    endpoint.behave = (request) => ({ kind: "answer", text: ratingReply(request) });
    expect(await score(output, keys)).toMatchObject({ failed: 0 });
    expect(endpoint.requests.length).toBe(4);
  });

  test("a judge that says nothing of use is not asked for ever", async () => {
    endpoint.behave = () => ({ kind: "answer", text: "I like them all." });
    const error = await refusal(score(newOutput(), { failures_in_a_row: 3, judge: { attempts: 1, concurrency: 1 } }));
    expect(error).toMatch(/^AnswerError: judge: 3 calls in a row failed, the last one: 0 ratings without numbers/);
    expect(endpoint.requests.length).toBe(3);
  });
});

test("rows in .parquet hold the same, also where an aspect failed", async () => {
  endpoint.behave = (request) => ({
    kind: "answer",
    text:
      readQuestion(request).quality === "helpfulness" && request.prompt.includes("number 1")
        ? "?"
        : ratingReply(request),
  });
  const [lines, parquet] = [newOutput(), newOutput().replace("jsonl", "parquet")];
  const keys = { aspects: ["honesty", "helpfulness"], limit: 3, judge: { attempts: 1 } };
  expect(await score(lines, keys)).toMatchObject({ failed: 1 });
  const { reports } = await score(parquet, keys);
  expect(reports[0]).toBe(parquet.replace(".parquet", ".report.md"));
  const pairsOf = async (path: string): Promise<string> => {
    await binarizeFile(path, join(folder, "of.jsonl"), {});
    return readFileSync(join(folder, "of.jsonl"), "utf8");
  };
  expect(await pairsOf(parquet)).toBe(await pairsOf(lines));
  const compared = await compareJudgeFiles(parquet, lines);
  expect(compared.scores.helpfulness).toMatchObject({ count: 6, bothNotApplicable: 2, oneNotApplicable: 0, exact: 1 });
});

test("a dry run asks and writes nothing, and tells what there is to ask", async () => {
  const output = newOutput();
  const judge = { price: { input: 1, output: 10 }, max_tokens: 100 };
  const recipe = recipeOf(output, { judge });
  const plan = await planScore(recipe);
  expect(plan).toMatchObject({ rows: 10, judge: "judge", calls: 40, done: 0, failed: 0, records: 0 });
  expect(plan.most_completion_tokens).toBe(4000);
  expect(plan.prompt_tokens).toBeGreaterThan(40 * 300);
  expect(plan.most_cost).toBeCloseTo((plan.prompt_tokens + 10 * 4000) / 1e6, 12);
  expect(existsSync(join(output, ".."))).toBe(false);
  await scoreFeedback(recipeOf(output, { judge, limit: 4 }));
  expect(await planScore(recipe)).toMatchObject({ calls: 40, done: 16, most_completion_tokens: 2400, records: 16 });
  expect(endpoint.requests.length).toBe(16);
});

test("rules judge without any model, and the report tells what they prefer", async () => {
  const rules = join(folder, "rules.mjs");
  writeFileSync(
    rules,
    `export default (prompt, response) => ({ helpfulness: Math.min(5, 1 + response.length / 10), honesty: "N/A" });`,
  );
  const output = newOutput();
  const judge = { model: null, endpoint: null, rules };
  const summary = await score(output, { judge, aspects: ["helpfulness", "honesty"] });
  expect(endpoint.requests.length).toBe(0);
  expect(summary.judge.length.wins).toMatchObject({ pairs: 60, longerWins: 1 });
  expect(summary.judge.length.correlations.helpfulness).toMatchObject({ all: 1 });
  expect(summary.judge.criteria.honesty).toMatchObject({ notApplicableShare: 1 });
  const text = readFileSync(summary.reports[0], "utf8");
  expect(text).toContain("# rules.mjs as a judge");
  expect(text).toMatch(/\| helpfulness \| 10 \| 0\.0 % \| 40 \|/);
  writeFileSync(rules, `export default () => ({});`);
  expect(await refusal(score(output, { judge }))).toMatch(/^ConfigError: judge.rules: /);
  const other = newOutput();
  const versioned = { judge: { ...judge, rules: join(folder, "versioned.mjs") }, aspects: ["honesty"] };
  writeFileSync(versioned.judge.rules, `export const version = 2; export default () => ({ honesty: 3 });`);
  await score(other, versioned);
  const journal = readFileSync(`${other}.journal`, "utf8");
  writeFileSync(`${other}.journal`, journal.replace('"version":2', '"version":1'));
  expect(await refusal(score(other, versioned))).toMatch(/^ConfigError: judge.version: 2, expected 1, with which/);
  const missing = await refusal(score(newOutput(), { judge: { ...judge, rules: "none.mjs" } }));
  expect(missing).toBe("FileError: none.mjs: no such file, expected rules");
});

test("the report does without numbers of a position", async () => {
  const rules = join(folder, "one.mjs");
  writeFileSync(rules, `export default (_, response) => ({ honesty: response.startsWith("0, worth N") ? "N/A" : 4 });`);
  const input = writeJsonLines(join(folder, "two.jsonl"), completionRows(1, ["N/A", 4]));
  for (const seed of [0, 1, 2, 3]) {
    const judge = { model: null, endpoint: null, rules };
    const summary = await score(newOutput(), { input, seed, judge, aspects: ["honesty"] });
    expect(readFileSync(summary.reports[0], "utf8")).toMatch(/\n\| honesty \| - \|( - \|)+\n/);
  }
});

test("a model of this machine judges by its likelihoods, and is not loaded when all is there", async () => {
  const model = await makeModel(join(folder, "model"), { max_position_embeddings: 4096 });
  const output = newOutput();
  const loaded: string[] = [];
  const load: LoadTextModel = (folder, options) => {
    loaded.push(folder);
    return loadEngine(folder, options);
  };
  const keys = { judge: { model, endpoint: null, device: "cpu" }, limit: 2, aspects: ["honesty"], overall: true };
  await score(output, keys, { load });
  const [first] = linesOf(output);
  for (const { annotations, overall_score } of first!.completions) {
    expect(Number(annotations.honesty!.Rating)).toBeGreaterThan(1);
    expect(Number(annotations.honesty!.Rating)).toBeLessThan(5);
    expect(annotations.honesty!.Rationale).toMatch(/^1: 0\.\d{3}, 2: 0\.\d{3}, /);
    expect(overall_score).toBeGreaterThan(1);
    expect(overall_score).toBeLessThan(10);
  }
  await score(output, keys, { load });
  expect(loaded).toEqual([model]);
});
