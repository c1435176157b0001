import { z } from "zod";
import type { DeepReadonly } from "./schema.js";
import { described, flag, integer, real, text, texts } from "./values.js";

/** How scored completions become pairs: what `westwind feedback binarize` takes as flags. */
export const feedbackBinarizeSchema = z.strictObject({
  rule: described(z.enum(["mean", "overall", "best-worst"]), "one of mean, overall, best-worst")
    .default("mean")
    .describe(
      "mean: the best mean rating against a random worse answer (the paper). overall: by overall_score (the released data). best-worst: the best against the worst.",
    ),
  seed: integer(0).default(0).describe("Draws the rejected answers."),
  drop_sources: texts().nullable().default(null).describe("Sources whose prompts are left out, besides TruthfulQA."),
  keep_truthfulqa: flag().default(false).describe("Keep prompts of TruthfulQA, on which models are later evaluated."),
  min_margin: real({ atLeast: 0 }).default(0).describe("Least difference of the two scores of a pair."),
  min_chosen: real().nullable().default(null).describe("Least score of the better answer; null: any."),
  input: text("a file or folder of scored completions, or a name on the hub").describe(
    "Scored completions: a .jsonl, .json or .parquet file, a folder of them, or a data set's name on the hub.",
  ),
  output: text("a file to write").describe("The .jsonl, .jsonl.gz or .parquet file of pairs to write."),
});

export type FeedbackBinarizeRecipe = DeepReadonly<z.output<typeof feedbackBinarizeSchema>>;
