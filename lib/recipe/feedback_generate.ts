import { z } from "zod";
import type { RecipeSource } from "./parse.js";
import { parseKeys } from "./parse_keys.js";
import type { Problem } from "./problems.js";
import type { DeepReadonly } from "./schema.js";
import { described, flag, integer, oneOf, real, settings, text, texts } from "./values.js";

const price = settings(
  z.strictObject({
    input: real({ atLeast: 0 }).default(0).describe("A million tokens of prompts."),
    output: real({ atLeast: 0 }).default(0).describe("A million tokens of answers."),
  }),
  "a mapping with input, output",
);

const principle = described(
  z.preprocess(
    (value) => (typeof value === "number" ? { weight: value } : value),
    z.strictObject({
      weight: real({ above: 0 }).default(1).describe("How often it is drawn, among the others' weights."),
      texts: texts()
        .nullable()
        .default(null)
        .describe("System prompts, of which one is drawn; null: the built-in ones."),
    }),
  ),
  "a weight, or a mapping with weight, texts",
);

const principles = () =>
  described(
    z.preprocess((value) => value ?? {}, z.record(z.string(), principle)),
    "a mapping of principles to weights",
  );

/** How a model is reached, and how it answers. Shared by all recipes that ask models. */
export const chatModelKeys = {
  model: text("the folder of a model, or its name at the endpoint").describe(
    "Folder of a model of this machine; with endpoint, what the endpoint calls it.",
  ),
  name: text().nullable().default(null).describe("As rows name it; null: the last part of model. Each its own."),
  device: text().default("auto").describe("Of this machine: auto, cpu, cuda or cuda:N."),
  dtype: oneOf(["float32", "bfloat16"])
    .nullable()
    .default(null)
    .describe("Of this machine: what is computed in; null: bfloat16 on a GPU, float32 on a CPU."),
  threads: integer(1).nullable().default(null).describe("Of this machine: CPU threads; null: one per core."),
  chat_template: text()
    .nullable()
    .default(null)
    .describe("Of this machine: a template's name or source; null: the tokenizer's own, or zephyr where it has none."),
  endpoint: text("an address")
    .nullable()
    .default(null)
    .describe("Base address of an endpoint that speaks OpenAI's chat completions: http://localhost:8000/v1."),
  api_key_env: text("the name of an environment variable")
    .nullable()
    .default(null)
    .describe("Environment variable that holds the endpoint's key. The key itself never stands in a recipe."),
  concurrency: integer(1).default(8).describe("Endpoint: most requests at the same time."),
  requests_per_minute: integer(1).nullable().default(null).describe("Endpoint: most requests a minute; null: any."),
  tokens_per_minute: integer(1)
    .nullable()
    .default(null)
    .describe("Endpoint: most tokens of prompts and answers a minute; null: any."),
  timeout: real({ above: 0, atMost: 300 }).default(120).describe("Endpoint: seconds until an answer must be there."),
  tries: integer(1).default(6).describe("Endpoint: most tries of one request."),
  max_wait: real({ atLeast: 0 })
    .default(60)
    .describe("Endpoint: most seconds between two tries, also where it asks for more with Retry-After."),
  price: price
    .nullable()
    .default(null)
    .describe("Endpoint: what a million tokens cost, in any currency; needed where budget.cost is."),
  max_tokens_field: oneOf(["max_tokens", "max_completion_tokens"])
    .default("max_tokens")
    .describe("Endpoint: where it looks for max_tokens."),
  send_seed: flag().default(false).describe("Endpoint: send a seed, of which some know nothing."),
  extra_body: described(z.record(z.string(), z.unknown()), "a mapping")
    .nullable()
    .default(null)
    .describe("Endpoint: added to every request, such as top_k."),
  temperature: real({ atLeast: 0 })
    .nullable()
    .default(1)
    .describe("Divides the logits; 0 takes the likeliest token; null: as the endpoint does by itself."),
  top_p: real({ above: 0, atMost: 1 })
    .nullable()
    .default(1)
    .describe("Draw among the likeliest tokens that hold this share; null: as the endpoint does by itself."),
  max_tokens: integer(1).default(1024).describe("Most tokens of an answer."),
  stop: texts().nullable().default(null).describe("Texts that end an answer and are not part of it."),
};

const memberKeys = {
  ...chatModelKeys,
  weight: real({ above: 0 }).default(1).describe("How often it is drawn, among the others' weights."),
  principles: principles().nullable().default(null).describe("Its own principles; null: those of the recipe."),
};

/** What may be spent, earlier runs counted. */
export const budgetKeys = settings(
  z.strictObject({
    tokens: integer(1).nullable().default(null).describe("Most tokens of prompts and answers of all endpoints."),
    cost: real({ atLeast: 0 }).nullable().default(null).describe("Most that they may cost, by their prices."),
  }),
  "a mapping with tokens, cost",
);

export const memberSchema = z.strictObject(memberKeys);

export const feedbackGenerateSchema = z.strictObject({
  prompts: text("a file or folder of rows, or a name on the hub").describe(
    "Rows with messages whose last is the user's, prompt or instruction: a file, a folder of them, or a data set's name on the hub.",
  ),
  split: text().default("train").describe("Which files of a folder."),
  limit: integer(1).nullable().default(null).describe("Only the first so many prompts; null: all."),
  models: described(z.array(memberSchema).min(1), "a list of models").describe("Among whom answers are drawn."),
  completions_per_prompt: integer(1).default(4).describe("Models that answer a prompt, drawn by their weights."),
  principles: principles()
    .nullable()
    .default(null)
    .describe(
      "System prompts by name, of which one is drawn for every answer: a weight, or a weight and texts; {}: none. null: helpfulness 0.6, truthfulness 0.2, honesty 0.18, verbalized_calibration 0.02.",
    ),
  seed: integer(0).default(0).describe("Draws models, principles and answers, by the prompt alone."),
  budget: budgetKeys.default({ tokens: null, cost: null }).describe("When it is used up nothing more is asked."),
  failures_in_a_row: integer(1).default(20).describe("So many of one model end the run."),
  grace: real({ atLeast: 0 })
    .default(15)
    .describe("Seconds in which answers may still come after Ctrl-C: they are paid for."),
  output: described(
    z.string().regex(/\.(jsonl(\.gz)?|parquet)$/),
    "a .jsonl, .jsonl.gz or .parquet file to write",
  ).describe("The file of completions to write. Finished answers lie beside it, with .journal behind its name."),
});

/** A recipe of `westwind feedback generate`: every key has a value, null where there is none. */
export type FeedbackGenerateRecipe = DeepReadonly<z.output<typeof feedbackGenerateSchema>>;
export type ChatModelRecipe = Pick<FeedbackGenerateRecipe["models"][number], keyof typeof chatModelKeys>;

/** Throws as `parseRecipe` does. */
export const parseFeedbackGenerate = (source: RecipeSource): FeedbackGenerateRecipe =>
  parseKeys(feedbackGenerateSchema, source, checkGenerate);

/** The name under which rows have a model. */
export const nameOf = ({ name, model }: Pick<ChatModelRecipe, "name" | "model">): string =>
  name ?? model.replace(/[\\/]+$/, "").replace(/^.*[\\/]/, "");

export const ENDPOINT_ONLY = [
  "api_key_env",
  "requests_per_minute",
  "tokens_per_minute",
  "price",
  "extra_body",
] as const;
export const LOCAL_ONLY = ["dtype", "threads", "chat_template"] as const;

/** What contradicts itself in how a model is reached. `key` is its path in the recipe; `cost` the budget's. */
export function findModelProblems(
  key: string,
  model: Pick<ChatModelRecipe, "endpoint" | (typeof ENDPOINT_ONLY)[number] | (typeof LOCAL_ONLY)[number]>,
  cost: number | null,
): Problem[] {
  const isLocal = model.endpoint === null;
  const message = isLocal ? "set without endpoint, expected both or none" : "set beside endpoint, expected one of them";
  const wrong = (isLocal ? ENDPOINT_ONLY : LOCAL_ONLY).filter((name) => model[name] !== null);
  const problems = wrong.map((name): Problem => ({ key: `${key}.${name}`, message }));
  if (!isLocal && cost !== null && model.price === null) {
    problems.push({ key: `${key}.price`, message: "missing, expected one beside budget.cost" });
  }
  return problems;
}

/** What is wrong with values that are each right alone. */
export function checkGenerate({ models, budget, completions_per_prompt }: FeedbackGenerateRecipe): Problem[] {
  const problems: Problem[] = [];
  for (const [i, one] of models.entries()) {
    problems.push(...findModelProblems(`models.${i}`, one, budget.cost));
    const twin = models.findIndex((other) => nameOf(other) === nameOf(one));
    if (twin < i) {
      const message = `${JSON.stringify(nameOf(one))}, as models.${twin} is called; expected a name of its own`;
      problems.push({ key: `models.${i}.name`, message });
    }
  }
  if (completions_per_prompt > models.length) {
    const message = `${completions_per_prompt}, expected at most the ${models.length} models there are`;
    problems.push({ key: "completions_per_prompt", message });
  }
  return problems;
}
