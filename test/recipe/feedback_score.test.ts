import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { keyTable } from "../../lib/recipe/describe.js";
import { feedbackScoreSchema, judgeSchema, parseFeedbackScore } from "../../lib/recipe/feedback_score.js";
import { refusal } from "../run/collect.js";

const LEAST = "input: i.jsonl\noutput: o.jsonl\n";
const parse = (text: string, ...overrides: string[]) => parseFeedbackScore({ path: "r.yaml", text, overrides });

test("what is left open has a default", () => {
  const recipe = parse(`${LEAST}judge: {model: m, endpoint: http://x/v1}`);
  expect(recipe).toMatchObject({
    aspects: null,
    overall: false,
    judge: { temperature: 0, max_tokens: 2048, attempts: 3, json: true, likelihood: "expected", rules: null },
  });
  expect(parse(`${LEAST}judge: {model: m}`, "--aspects=honesty", "--judge.temperature=null")).toMatchObject({
    aspects: ["honesty"],
    judge: { temperature: null },
  });
});

test.each<[string, string]>([
  ["judge: {}", "judge: neither model nor rules, expected one of them (r.yaml:3)"],
  ["judge: {model: m, rules: r.mjs}", "judge: both model and rules, expected one of them (r.yaml:3)"],
  ["judge: {rules: r.mjs, endpoint: http://x}", "judge.endpoint: set beside rules, expected one of them (r.yaml:3)"],
  ...["price: {}", "api_key_env: K", "tokens_per_minute: 1", "dtype: float32", "threads: 1"].map(
    (entry): [string, string] => [
      `judge: {rules: r.mjs, ${entry}}`,
      `judge.${entry.replace(/:.*/, "")}: set beside rules, expected one of them (r.yaml:3)`,
    ],
  ),
  ["judge: {rules: r.mjs}\nbudget: {tokens: 5}", "budget.tokens: set beside rules, expected one of them (r.yaml:4)"],
  [
    "judge: {model: m, endpoint: http://x, dtype: float32}",
    "judge.dtype: set beside endpoint, expected one of them (r.yaml:3)",
  ],
  ["judge: {model: m, price: {}}", "judge.price: set without endpoint, expected both or none (r.yaml:3)"],
  [
    "judge: {model: m, endpoint: http://x}\nbudget: {cost: 1}",
    "judge.price: missing, expected one beside budget.cost (r.yaml:3)",
  ],
  ["judge: {model: m, stop: x}", "judge.stop: unknown key (r.yaml:3)"],
  ["judge: {model: m}\naspects: [honesty, honesty]", "aspects: honesty, honesty, expected none twice (r.yaml:4)"],
  [
    "judge: {model: m}\naspects: [charm]",
    'aspects.0: "charm", expected one of instruction_following, truthfulness, honesty, helpfulness (r.yaml:4)',
  ],
  ["judge: {model: m}\noverall: 3", "overall: 3, expected true or false (r.yaml:4)"],
  ["", "judge: missing, expected a mapping with model or rules"],
])("%j is an error", async (text, message) => {
  expect(await refusal(() => parse(LEAST + text))).toBe(`ConfigError: ${message}`);
});

test("docs/feedback.md lists every key as the schema has it", () => {
  const docs = readFileSync("docs/feedback.md", "utf8");
  for (const schema of [feedbackScoreSchema, judgeSchema]) expect(docs).toContain(keyTable(schema));
});
