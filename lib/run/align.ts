import type { AlignRecipe } from "../recipe/align.js";
import type { FeedbackBinarizeRecipe } from "../recipe/feedback_binarize.js";
import type { ParsedRecipe } from "../recipe/parse.js";
import type { RunEvent, RunSummary } from "./events.js";
import { binarizeFile } from "./feedback.js";
import { judgeOrigin, readyJudge } from "./feedback_judge.js";
import { makeReady } from "./feedback_members.js";
import type { FeedbackProgress } from "./feedback_progress.js";
import { generateFeedback } from "./generate_feedback.js";
import { loadEngine } from "./load_engine.js";
import type { RunOptions } from "./run.js";
import { scoreFeedback } from "./score_feedback.js";
import { runDpo, runSft } from "./start.js";

/** Follows the stages while they run; the caller decides what is shown. */
export interface Follow {
  /** A training run, to its summary. */
  training(parsed: ParsedRecipe<unknown>, run: AsyncIterable<RunEvent>): Promise<RunSummary>;
  /** Work that tells how many of `what` there are. */
  feedback<Summary>(
    what: "answers" | "verdicts",
    work: (report: (progress: FeedbackProgress) => void) => Promise<Summary>,
  ): Promise<Summary>;
}

/** A stage of `westwind align`. `run` carries it out and returns the numbers it ended with. */
export interface Stage {
  readonly name: "sft" | "generate" | "score" | "binarize" | "dpo";
  run(follow: Follow): Promise<unknown>;
}

/**
 * The stages of a recipe, to be run in order. A training stage goes on from its last checkpoint and is passed over when
 * it is finished; nothing is asked again that a model or a judge has answered; pairs are made anew, which takes seconds and
 * gives the same pairs.
 *
 * Endpoints without a key and rules that are none are found before the first stage, which may take a day: throws
 * ConfigError and FileError.
 */
export async function alignStages(
  recipe: AlignRecipe,
  options: Omit<RunOptions, "continue"> = {},
): Promise<readonly Stage[]> {
  const { sft, feedback: { generate, score, binarize } = {}, dpo } = recipe;
  await checkFeedback(recipe.feedback ?? {});
  const { signal } = options;
  const goOn = { ...options, continue: true };
  const stages: (Stage | undefined)[] = [
    sft && { name: "sft", run: (follow) => follow.training(sft, runSft(sft, goOn)) },
    generate && {
      name: "generate",
      run: (follow) => follow.feedback("answers", (report) => generateFeedback(generate, { report, signal })),
    },
    score && {
      name: "score",
      run: (follow) => follow.feedback("verdicts", (report) => scoreFeedback(score, { report, signal })),
    },
    binarize && { name: "binarize", run: () => binarizeFile(binarize.input, binarize.output, pairOptions(binarize)) },
    dpo && { name: "dpo", run: (follow) => follow.training(dpo, runDpo(dpo, goOn)) },
  ];
  return stages.filter((stage) => stage !== undefined);
}

/** What can be known of models and judges while they have nothing to do. */
async function checkFeedback({ generate, score }: NonNullable<AlignRecipe["feedback"]>): Promise<void> {
  const ignore = (): void => {};
  if (generate) makeReady(generate, loadEngine, ignore);
  if (!score) return;
  readyJudge(score, loadEngine, ignore);
  await judgeOrigin(score);
}

const pairOptions = ({
  rule,
  seed,
  drop_sources,
  keep_truthfulqa,
  min_margin,
  min_chosen,
}: FeedbackBinarizeRecipe) => ({
  ...{ rule, seed, keepTruthfulQa: keep_truthfulqa, minMargin: min_margin },
  ...{ dropSources: drop_sources ?? undefined, minChosen: min_chosen ?? undefined },
});
