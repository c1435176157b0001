import { Journal } from "../feedback/journal.js";
import { promptTokensOf } from "../feedback/judge_prompt.js";
import { hasFailed, questionOf } from "../feedback/score.js";
import { type VerdictRecord, Verdicts } from "../feedback/verdicts.js";
import type { FeedbackScoreRecipe } from "../recipe/feedback_score.js";
import { priceOf } from "./chat_models.js";
import { formOf, judgeName, judgeOrigin } from "./feedback_judge.js";
import type { ScoreFeedbackOptions } from "./score_feedback.js";
import { callsWanted, journalOf, rowsOf } from "./score_input.js";

/** What would be done. */
export interface ScorePlan {
  readonly rows: number;
  readonly judge: string;
  readonly calls: number;
  /** Of these, how many are there already, and how many failed and are not made again. */
  readonly done: number;
  readonly failed: number;
  /** Of what is left, asked once each: tokens by an estimate, and at most, of the replies. */
  readonly prompt_tokens: number;
  readonly most_completion_tokens: number;
  /** What that costs at most; null without a price. */
  readonly most_cost: number | null;
  /** Where verdicts lie, and how many records there are. */
  readonly journal: string;
  readonly records: number;
}

/** What `scoreFeedback` would ask, and what of it is there already. Nothing is asked, loaded or written. */
export async function planScore(
  recipe: FeedbackScoreRecipe,
  { retryFailed = false }: Pick<ScoreFeedbackOptions, "retryFailed"> = {},
): Promise<ScorePlan> {
  const journal = journalOf(recipe);
  const records = await Journal.read<VerdictRecord>(journal, await judgeOrigin(recipe));
  const verdicts = new Verdicts(records);
  const form = formOf(recipe.judge);
  let [rows, calls, done, failed, asked, promptTokens] = [0, 0, 0, 0, 0, 0];
  for await (const _ of rowsOf(recipe)) rows++;
  for await (const { call, row } of callsWanted(recipe)) {
    calls++;
    if (verdicts.isDone(call, retryFailed)) {
      if (hasFailed(verdicts.of(call)!)) failed++;
      else done++;
      continue;
    }
    asked++;
    if (form !== undefined) promptTokens += promptTokensOf(questionOf(row, call, recipe.seed).question, form);
  }
  const most = form === "json" || form === "text" ? asked * recipe.judge.max_tokens : 0;
  const price = priceOf(recipe.judge);
  return {
    ...{ rows, judge: judgeName(recipe.judge), calls, done, failed },
    prompt_tokens: promptTokens,
    most_completion_tokens: most,
    most_cost: price === undefined ? null : (promptTokens * price.input + most * price.output) / 1e6,
    ...{ journal, records: records.length },
  };
}
