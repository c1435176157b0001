// The whole recipe on a tiny model: it learns dialogues, answers prompts beside what it was, is rated by rules, and learns
// from the pairs.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { Random } from "../../lib/base/random.js";
import { parseAlignRecipe } from "../../lib/recipe/align.js";
import { alignStages, type Follow } from "../../lib/run/align.js";
import type { FeedbackProgress } from "../../lib/run/feedback_progress.js";
import { temporaryFolder } from "./collect.js";
import { chatRows, makeModel, sentence, writeJsonLines } from "./small_model.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const model = await makeModel(at("model"));
const chats = writeJsonLines(at("chats.jsonl"), chatRows(40));
const random = new Random(9);
const prompts = writeJsonLines(
  at("prompts.jsonl"),
  Array.from({ length: 24 }, () => ({ prompt: sentence(random, 5) })),
);
// The fewer letters the better, so that answers differ in what they get.
writeFileSync(
  at("rules.mjs"),
  `export default (prompt, response) => {
    const rating = Math.max(1, 5 - Math.floor(response.length / 12));
    return { instruction_following: rating, truthfulness: rating, honesty: "N/A", helpfulness: rating };
  };`,
);
const RECIPE = `
model_name_or_path: ${model}
output_dir: ${at("out")}
chat_template: zephyr
logging_steps: 1
report: false
max_steps: 4
per_device_train_batch_size: 4
sft: {dataset_name: ${chats}, learning_rate: 1.0e-2, save_strategy: steps, save_steps: 2}
feedback:
  generate:
    prompts: ${prompts}
    completions_per_prompt: 2
    principles: {}
    models:
      - {name: before, model: ${model}, chat_template: zephyr, max_tokens: 12}
      - {name: half, model: ${at("out/sft/checkpoint-2")}, chat_template: zephyr, max_tokens: 12}
      - {name: after, model: ${at("out/sft")}, chat_template: zephyr, max_tokens: 12}
  score:
    judge: {rules: ${at("rules.mjs")}}
  binarize: {rule: mean}
dpo: {learning_rate: 1.0e-3}
`;

/** Runs all stages and returns what each ended with, and the first and last count of those that tell one. */
async function align(...overrides: string[]) {
  const results: Record<string, unknown> = {};
  const counts: Record<string, readonly [what: string, first: number, last: number]> = {};
  for (const stage of await alignStages(parseAlignRecipe({ text: RECIPE, overrides }))) {
    const told: FeedbackProgress[] = [];
    let counted = "";
    const follow: Follow = {
      training: async (_, run) => {
        for await (const event of run) if (event.kind === "finished") return event.summary;
        throw new Error("a run ends with its summary");
      },
      feedback: (what, work) => {
        counted = what;
        return work((progress) => void told.push(progress));
      },
    };
    results[stage.name] = await stage.run(follow);
    if (told.length > 0) counts[stage.name] = [counted, told[0]!.done, told.at(-1)!.done];
  }
  return { results, counts };
}

test("what the feedback stages cannot do is told before the first stage runs", async () => {
  const refusal = (...overrides: string[]) =>
    alignStages(parseAlignRecipe({ text: RECIPE, overrides })).then(
      () => "none",
      (error: Error) => `${error.name}: ${error.message}`,
    );
  expect(await refusal(`--feedback.score.judge.rules=${at("none.mjs")}`)).toBe(
    `FileError: ${at("none.mjs")}: no such file, expected rules`,
  );
  const judge = `{model: m, endpoint: "http://127.0.0.1:1/v1", api_key_env: WESTWIND_TEST_NO_KEY}`;
  expect(await refusal(`--feedback.score.judge=${judge}`)).toMatch(
    /^ConfigError: judge.api_key_env: WESTWIND_TEST_NO_KEY is not set in the environment/,
  );
  const models = `[{name: a, model: m, endpoint: "http://127.0.0.1:1/v1", api_key_env: WESTWIND_TEST_NO_KEY}]`;
  expect(await refusal(`--feedback.generate.models=${models}`, "--feedback.generate.completions_per_prompt=1")).toMatch(
    /^ConfigError: models.0.api_key_env/,
  );
});

const rowsOf = (name: string): Record<string, unknown>[] =>
  readFileSync(at(`out/feedback/${name}.jsonl`), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test("each stage works on what the one before left, and a second call asks nothing again", async () => {
  const { results, counts } = await align();
  expect(Object.keys(results)).toEqual(["sft", "generate", "score", "binarize", "dpo"]);
  expect(counts).toEqual({ generate: ["answers", 0, 48], score: ["verdicts", 0, 96] });

  const completions = rowsOf("completions");
  expect(completions).toHaveLength(24);
  const models = new Set(completions.flatMap((row) => row.models as string[]));
  expect(models).toEqual(new Set(["before", "half", "after"]));
  expect(rowsOf("scored").map(({ completions }) => (completions as object[]).length)).toEqual(Array(24).fill(2));
  const pairs = rowsOf("pairs");
  expect(pairs.length).toBeGreaterThan(4);
  expect(pairs.filter((pair) => !((pair.score_chosen as number) > (pair.score_rejected as number)))).toEqual([]);
  expect(results.binarize).toMatchObject({ rows: 24, pairs: pairs.length });
  expect(results.dpo).toMatchObject({ task: "dpo", steps: 4, rows: pairs.length });

  const again = await align();
  expect(again.counts).toEqual({ generate: ["answers", 48, 48], score: ["verdicts", 96, 96] });
  expect([completions, pairs]).toEqual([rowsOf("completions"), rowsOf("pairs")]);
  expect(again.results.dpo).toEqual(results.dpo);
});
