import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { keyTable } from "../../lib/recipe/describe.js";
import {
  feedbackGenerateSchema,
  memberSchema,
  nameOf,
  parseFeedbackGenerate,
} from "../../lib/recipe/feedback_generate.js";
import { refusal } from "../run/collect.js";

const LEAST = "prompts: p.jsonl\noutput: o.jsonl\ncompletions_per_prompt: 1\n";
const MODELS = "models:\n  - {model: a/b}\n  - {model: c, endpoint: http://x/v1}\n";
const parse = (text: string, ...overrides: string[]) => parseFeedbackGenerate({ path: "r.yaml", text, overrides });

test("what is left open has a default", () => {
  const recipe = parse(LEAST + MODELS);
  expect(recipe).toMatchObject({ split: "train", limit: null, seed: 0, budget: { tokens: null, cost: null } });
  expect(recipe.models[0]).toMatchObject({
    endpoint: null,
    weight: 1,
    temperature: 1,
    max_tokens: 1024,
    principles: null,
  });
  expect([recipe.principles, parse(LEAST + MODELS, "--principles={}").principles]).toEqual([null, {}]);
});

test("principles are weights, or have texts; none are none", () => {
  const { principles, models } = parse(
    `${LEAST}principles: {honesty: 2, own: {texts: Be kind.}}\nmodels: [{model: a, principles: {}}]`,
  );
  expect(principles).toEqual({ honesty: { weight: 2, texts: null }, own: { weight: 1, texts: ["Be kind."] } });
  expect(models[0]!.principles).toEqual({});
});

test("overrides lead into lists and mappings", () => {
  const recipe = parse(
    LEAST + MODELS,
    "--models.1.temperature=0.5",
    "--budget.cost",
    "3",
    "--models.1.price.input=2",
    "--prompts=7.jsonl",
  );
  expect(recipe.models[1]).toMatchObject({ model: "c", temperature: 0.5, price: { input: 2, output: 0 } });
  expect(recipe).toMatchObject({ budget: { tokens: null, cost: 3 }, prompts: "7.jsonl" });
});

test("a model is called by its name, or the last part of what it is", () => {
  expect([
    nameOf({ name: "n", model: "a/b" }),
    nameOf({ name: null, model: "a/b/" }),
    nameOf({ name: null, model: "c" }),
  ]).toEqual(["n", "b", "c"]);
});

describe("what is wrong is told, with its line", () => {
  test.each<[string, string]>([
    [
      `${LEAST}models: [{model: a, tempature: 1}]`,
      "models.0.tempature: unknown key, did you mean temperature? (r.yaml:4)",
    ],
    [
      `${LEAST}models:\n  - model: a\n    top_p: 2`,
      "models.0.top_p: 2, expected a number > 0 and <= 1, or null (r.yaml:6)",
    ],
    [`${LEAST}models: []`, "models: [], expected a list of models (r.yaml:4)"],
    [LEAST, "models: missing, expected a list of models"],
    [
      `${LEAST}models: [{model: a}]\nprinciples: {honesty: 0}`,
      "principles.honesty.weight: 0, expected a number > 0 (r.yaml:5)",
    ],
    [`${LEAST}models: [{model: a}]\nkey: 1`, "key: unknown key (r.yaml:5)"],
    [
      "prompts: p\noutput: o.txt\nmodels: [{model: a}]",
      'output: "o.txt", expected a .jsonl, .jsonl.gz or .parquet file to write (r.yaml:2)',
    ],
    [
      `${LEAST}models: [{model: a, api_key_env: K}]`,
      "models.0.api_key_env: set without endpoint, expected both or none (r.yaml:4)",
    ],
    [
      `${LEAST}models: [{model: a, endpoint: http://x, threads: 2}]`,
      "models.0.threads: set beside endpoint, expected one of them (r.yaml:4)",
    ],
    [
      `${LEAST}models: [{model: a/m}, {model: b/m}]`,
      'models.1.name: "m", as models.0 is called; expected a name of its own (r.yaml:4)',
    ],
    [
      `${LEAST}models: [{model: a, endpoint: http://x}]\nbudget: {cost: 1}`,
      "models.0.price: missing, expected one beside budget.cost (r.yaml:4)",
    ],
    [`${LEAST + MODELS}seed: 1\nseed: 2`, "r.yaml:8:1: seed is given twice"],
  ])("%j", async (text, message) => {
    expect(await refusal(() => parse(text))).toBe(`ConfigError: ${message}`);
  });

  test("all at once, and those of the command line without", async () => {
    const both = () => parse(LEAST + MODELS, "--completions_per_prompt=3", "--seed=1");
    expect(await refusal(both)).toBe("ConfigError: completions_per_prompt: 3, expected at most the 2 models there are");
    expect(await refusal(() => parse(LEAST + MODELS, "--seed=-1", "--limit=0", "--prompts.path=x"))).toBe(
      "ConfigError: prompts.path: prompts has no entries of its own\nlimit: 0, expected a positive integer, or null\nseed: -1, expected an integer >= 0",
    );
  });
});

test("docs/feedback.md lists every key as the schema has it", () => {
  const docs = readFileSync("docs/feedback.md", "utf8");
  for (const schema of [feedbackGenerateSchema, memberSchema]) expect(docs).toContain(keyTable(schema));
});
