import type { SourceRow } from "../data/source.js";
import { ASPECTS } from "../feedback/aspects.js";
import { type WantedCall, wantedCalls } from "../feedback/judge_calls.js";
import type { JudgeCall } from "../feedback/score.js";
import type { FeedbackScoreRecipe } from "../recipe/feedback_score.js";
import { checkApart } from "./output_apart.js";
import { readDataset } from "./read_dataset.js";

/** Where verdicts lie. */
export const journalOf = ({ output }: FeedbackScoreRecipe): string => `${output}.journal`;

/** Rows of completions. Throws ConfigError for an output that would take the input's place. */
export async function* rowsOf({ input, split, limit, output }: FeedbackScoreRecipe): AsyncGenerator<SourceRow> {
  await checkApart(input, output);
  yield* readDataset(input, { split, limit: limit ?? undefined });
}

/** What is asked about each row. */
export const criteriaOf = ({ aspects, overall }: FeedbackScoreRecipe): JudgeCall["criterion"][] =>
  overall ? [...(aspects ?? ASPECTS), "overall"] : [...(aspects ?? ASPECTS)];

/** What a recipe asks for, call by call. */
export const callsWanted = (recipe: FeedbackScoreRecipe): AsyncGenerator<WantedCall> =>
  wantedCalls(rowsOf(recipe), criteriaOf(recipe));
