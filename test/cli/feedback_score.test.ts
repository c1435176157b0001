import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { FakeEndpoint } from "../feedback/fake_endpoint.js";
import { completionRows, ratingReply, readQuestion } from "../feedback/fake_judge.js";
import { temporaryFolder } from "../run/collect.js";
import { writeJsonLines } from "../run/small_model.js";
import { run, westwind } from "./command.js";

const folder = temporaryFolder();
const input = writeJsonLines(join(folder, "completions.jsonl"), completionRows(30, [5, 3, 1]));

test("a killed run goes on where it was: nothing that was kept is asked again", async () => {
  await using endpoint = await FakeEndpoint.start();
  endpoint.behave = (request) => ({ kind: "answer", text: ratingReply(request), delay: 10 });
  const output = join(folder, "scored.jsonl");
  const recipe = join(folder, "score.yaml");
  const judge = `judge: {model: judge, endpoint: "${endpoint.url}", concurrency: 4, max_wait: 0}`;
  writeFileSync(recipe, `input: ${input}\noutput: ${output}\naspects: [honesty, helpfulness]\n${judge}\n`);
  const asked = () =>
    endpoint.requests.map((request) => {
      const { quality, answers } = readQuestion(request);
      return `${quality}: ${answers.toSorted().join()}`;
    });

  const first = westwind(["feedback", "score", recipe]);
  while (endpoint.delivered.length < 25) await setTimeout(2);
  first.process.kill("SIGKILL");
  expect((await first.outcome).signal).toBe("SIGKILL");
  expect(existsSync(output)).toBe(false);
  const kept = readFileSync(`${output}.journal`, "utf8").split("\n").length - 2; // but for the origin and a part of a line
  expect(kept).toBeGreaterThan(10);
  const before = asked();
  endpoint.requests.length = 0;

  const plan = await run("feedback", "score", recipe, "--dry-run");
  expect(plan.stderr).toContain(`calls of judge: 60, of which ${kept} are done and 0 failed; ${60 - kept} to make\n`);
  expect(endpoint.requests.length).toBe(0);

  const { code, stdout, stderr } = await run("feedback", "score", recipe, "--json");
  expect(code).toBe(0);
  expect(endpoint.requests.length).toBe(60 - kept);
  expect(new Set([...before, ...asked()]).size).toBe(60);
  expect(JSON.parse(stdout)).toMatchObject({ rows: 30, done: 60, total: 60, continued: kept, failed: 0, failures: [] });
  expect(stderr).toContain(`there already: ${kept} of 60 verdicts\n`);
  expect(stderr).toMatch(/^60 of 60 verdicts, [\d.]+ s$/m);
  const report = join(folder, "scored.report.md");
  expect(stderr).toContain(`scored completions in ${output}, report on the judge in ${report}\n`);
  expect(readFileSync(report, "utf8")).toContain("| honesty | 30 | 0.0 % | 90 | 3.000 | 30 | 30 | 30 | 0.0 % |");
});

test("rules score without a model, with all keys on the command line", async () => {
  const rules = join(folder, "rules.mjs");
  writeFileSync(rules, "export default (prompt, response) => ({ honesty: Number(/worth (.)/.exec(response)[1]) });");
  const output = join(folder, "by_rules.jsonl");
  const { code, stderr } = await run(
    ...["feedback", "score", `--input=${input}`, `--output=${output}`, `--judge.rules=${rules}`, "--aspects=honesty"],
  );
  expect([code, stderr]).toEqual([0, expect.stringContaining("30 of 30 verdicts")]);
  const [row] = readFileSync(output, "utf8").split("\n");
  const ratings = JSON.parse(row!).completions.map((one: { annotations: unknown }) => one.annotations);
  expect(ratings).toEqual(["5", "3", "1"].map((Rating) => ({ honesty: { Rating, Rationale: "" } })));
});

test("what is wrong with a recipe is told, all of it", async () => {
  const { code, stderr } = await run("feedback", "score", `--input=${input}`, "--judge.modle=x", "--output=o.jsonl");
  expect([code, stderr]).toEqual([1, "westwind: judge.modle: unknown key, did you mean model?\n"]);
});

test("rules that never answer end the command, which says so", async () => {
  const rules = join(folder, "silent.mjs");
  writeFileSync(rules, "export default () => new Promise(() => {});\n");
  const output = join(folder, "silent.jsonl");
  const silent = await run("feedback", "score", `--input=${input}`, `--output=${output}`, `--judge.rules=${rules}`);
  expect([silent.code, silent.stdout, existsSync(output)]).toEqual([70, "", false]);
  expect(silent.stderr).toBe(
    "westwind: what was waited for never comes; an answer of rules that does not settle is one such\n",
  );
});
