import { dirname } from "node:path";

import { AbortedError } from "../base/errors.js";
import { makeFolder } from "../base/files.js";
import { askAllCalls } from "../feedback/judge_calls.js";
import { type CallRecord, hasFailed, type JudgeCall } from "../feedback/score.js";
import { KeptVerdicts } from "../feedback/verdicts.js";
import type { FeedbackScoreRecipe } from "../recipe/feedback_score.js";
import { judgeOrigin, type ReadyJudge, readyJudge } from "./feedback_judge.js";
import { FeedbackCount, type FeedbackProgress } from "./feedback_progress.js";
import { type LoadTextModel, loadEngine } from "./load_engine.js";
import { callsWanted, journalOf } from "./score_input.js";
import { type ScoreOutput, writeScored } from "./score_output.js";

export interface ScoreFeedbackOptions {
  /** Ask again for verdicts that were refused or could not be read. */
  readonly retryFailed?: boolean | undefined;
  /** Is told how far it is: at the beginning, and with every verdict. */
  readonly report?: ((progress: FeedbackProgress) => void) | undefined;
  /** Ends it with an AbortedError. Replies that are on their way have the recipe's grace to arrive, and are kept. */
  readonly signal?: AbortSignal | undefined;
  /** Makes a model of this machine ready to answer. */
  readonly load?: LoadTextModel | undefined;
}

/** What was done. The counts are of all verdicts in the output, earlier runs included. */
export interface ScoreSummary extends FeedbackProgress, ScoreOutput {}

/**
 * Has a judge rate completions and writes the rows with its ratings, whole or not at all, and a report on the judge beside
 * them. Every verdict is in a journal beside the output as soon as it is there; a call with the same recipe asks for nothing
 * that is in it, and may have more rows, other aspects, a larger budget, another address. Throws ConfigError, FileError and
 * DataError before anything is asked; then also what `askAllCalls` throws, and all verdicts that came are kept.
 */
export async function scoreFeedback(
  recipe: FeedbackScoreRecipe,
  options: ScoreFeedbackOptions = {},
): Promise<ScoreSummary> {
  const { retryFailed = false, load = loadEngine } = options;
  const ready = readyJudge(recipe, load, (usage) => kept.keepLoss(usage));
  const origin = await judgeOrigin(recipe);
  const calls: JudgeCall[] = [];
  for await (const { call } of callsWanted(recipe)) calls.push(call);
  await makeFolder(dirname(recipe.output));
  const kept = await KeptVerdicts.open(journalOf(recipe), origin);
  try {
    for (const { usage } of kept.records) ready.tally.count(usage);
    const count = new FeedbackCount([{ member: ready, total: calls.length }]);
    const done = calls.filter((call) => kept.isDone(call, retryFailed));
    for (const call of done) count.addEarlier(ready, hasFailed(kept.of(call)!));
    options.report?.(count.progress());
    if (done.length < calls.length) await ask(recipe, ready, kept, count, options);
    return { ...count.progress(), ...(await writeScored(recipe, ready.name, kept)) };
  } finally {
    await kept.close();
  }
}

async function ask(
  recipe: FeedbackScoreRecipe,
  ready: ReadyJudge,
  kept: KeptVerdicts,
  count: FeedbackCount,
  { retryFailed = false, report, signal }: ScoreFeedbackOptions,
): Promise<void> {
  const onKept = (record: CallRecord): void => {
    count.add(ready, hasFailed(record));
    report?.(count.progress());
  };
  async function* missing() {
    for await (const one of callsWanted(recipe)) {
      if (!kept.isDone(one.call, retryFailed)) yield one;
    }
  }
  await using opened = await ready.open();
  const { seed, failures_in_a_row: failuresInARow } = recipe;
  const { concurrency } = ready;
  await askAllCalls(opened.judge, missing(), kept, { seed, concurrency, failuresInARow, onKept, signal }).catch(
    (error) => {
      if (!(error instanceof AbortedError)) throw error;
      const { done, total } = count.progress();
      const where = done > 0 ? `; they are in ${journalOf(recipe)}, and the same command goes on` : "";
      throw new AbortedError(0, `stopped after ${done} of ${total} verdicts${where}`);
    },
  );
}
