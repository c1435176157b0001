import { z } from "zod";
import { budgetKeys, chatModelKeys, ENDPOINT_ONLY, findModelProblems, LOCAL_ONLY } from "./feedback_generate.js";
import type { RecipeSource } from "./parse.js";
import { parseKeys } from "./parse_keys.js";
import type { Problem } from "./problems.js";
import type { DeepReadonly } from "./schema.js";
import { described, flag, integer, oneOf, oneOrMoreOf, real, text } from "./values.js";

const ASPECTS = ["instruction_following", "truthfulness", "honesty", "helpfulness"] as const;

const { stop: _, ...sharedKeys } = chatModelKeys;

/** What of a judge is another matter than of models that answer. */
export const judgeSchema = z.strictObject({
  model: text("the folder of a model, or its name at the endpoint")
    .nullable()
    .default(null)
    .describe(
      "With endpoint, what it calls the model. Else the folder of a model of this machine, a likelihood judge.",
    ),
  rules: text("a file of rules")
    .nullable()
    .default(null)
    .describe("Instead of a model: an ES module whose default export is (prompt, response) => {aspect: rating}."),
  temperature: real({ atLeast: 0 })
    .nullable()
    .default(0)
    .describe("Endpoint: divides the logits; 0 takes the likeliest token; null: as the endpoint does by itself."),
  max_tokens: integer(1).default(2048).describe("Endpoint: most tokens of a reply, thoughts included."),
  attempts: integer(1).default(3).describe("Endpoint: most times a question is asked until its reply can be read."),
  json: flag()
    .default(true)
    .describe("Endpoint: ask for JSON, by a schema where the endpoint takes one, rather than for lines of text."),
  likelihood: oneOf(["expected", "likeliest"])
    .default("expected")
    .describe("Of this machine: the mean of 1 to 5 by their likelihoods, or the likeliest of them."),
});

export const feedbackScoreSchema = z.strictObject({
  input: text("a file or folder of completions, or a name on the hub").describe(
    "Completions, as westwind feedback generate writes them: a file, a folder of them, or a data set's name on the hub.",
  ),
  split: text().default("train").describe("Which files of a folder."),
  limit: integer(1).nullable().default(null).describe("Only the first so many rows; null: all."),
  judge: described(z.strictObject({ ...sharedKeys, ...judgeSchema.shape }), "a mapping with model or rules").describe(
    "Who rates.",
  ),
  aspects: oneOrMoreOf(ASPECTS)
    .nullable()
    .default(null)
    .describe("What is rated, from 1 to 5 or N/A; one call each, with all answers to a prompt. null: all four."),
  overall: flag().default(false).describe("One more call, for an overall score from 1 to 10."),
  seed: integer(0).default(0).describe("Draws the order in which each call shows the answers."),
  budget: budgetKeys.default({ tokens: null, cost: null }).describe("When it is used up nothing more is asked."),
  failures_in_a_row: integer(1).default(20).describe("So many end the run."),
  grace: real({ atLeast: 0 })
    .default(15)
    .describe("Seconds in which replies may still come after Ctrl-C: they are paid for."),
  output: described(
    z.string().regex(/\.(jsonl(\.gz)?|parquet)$/),
    "a .jsonl, .jsonl.gz or .parquet file to write",
  ).describe(
    "The file of scored completions to write. Verdicts lie beside it, with .journal behind its name, and a report on the judge.",
  ),
});

/** A recipe of `westwind feedback score`: every key has a value, null where there is none. */
export type FeedbackScoreRecipe = DeepReadonly<z.output<typeof feedbackScoreSchema>>;
export type JudgeRecipe = FeedbackScoreRecipe["judge"];

/** Throws as `parseRecipe` does. */
export const parseFeedbackScore = (source: RecipeSource): FeedbackScoreRecipe =>
  parseKeys(feedbackScoreSchema, source, checkScore);

/** What is wrong with values that are each right alone. */
export function checkScore({ judge, aspects, budget }: FeedbackScoreRecipe): Problem[] {
  const problems: Problem[] = [];
  if ((judge.model === null) === (judge.rules === null)) {
    const found = judge.model === null ? "neither model nor rules" : "both model and rules";
    problems.push({ key: "judge", message: `${found}, expected one of them` });
  } else if (judge.model !== null) {
    problems.push(...findModelProblems("judge", judge, budget.cost));
  } else {
    const own = (["endpoint", ...ENDPOINT_ONLY, ...LOCAL_ONLY] as const).filter((key) => judge[key] !== null);
    const limits = (["tokens", "cost"] as const).filter((key) => budget[key] !== null);
    const keys = [...own.map((key) => `judge.${key}`), ...limits.map((key) => `budget.${key}`)];
    problems.push(...keys.map((key): Problem => ({ key, message: "set beside rules, expected one of them" })));
  }
  if (aspects !== null && new Set(aspects).size < aspects.length) {
    problems.push({ key: "aspects", message: `${aspects.join(", ")}, expected none twice` });
  }
  return problems;
}
