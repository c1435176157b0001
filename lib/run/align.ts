import type { AlignRecipe } from "../recipe/align.js";
import type { ParsedRecipe } from "../recipe/parse.js";
import type { FeedbackRecipe } from "../recipe/schema.js";
import type { RunEvent, RunSummary } from "./events.js";
import { binarizeFile } from "./feedback.js";
import type { RunOptions } from "./run.js";
import { runDpo, runSft } from "./start.js";

/** Follows a training run to its summary; the caller decides what is shown. */
export type Follow = (parsed: ParsedRecipe<unknown>, run: AsyncIterable<RunEvent>) => Promise<RunSummary>;

/** A stage of `westwind align`. `run` carries it out and returns the numbers it ended with. */
export interface Stage {
  readonly name: "sft" | "feedback" | "dpo";
  run(follow: Follow): Promise<unknown>;
}

/**
 * The stages of a recipe, to be run in order. A training stage goes on from its last checkpoint and is passed over when
 * it is finished; pairs are made anew, which takes seconds and gives the same pairs.
 */
export function alignStages(recipe: AlignRecipe, options: Omit<RunOptions, "continue"> = {}): Stage[] {
  const { sft, feedback, dpo } = recipe;
  const goOn = { ...options, continue: true };
  const stages: Stage[] = [];
  if (sft) stages.push({ name: "sft", run: (follow) => follow(sft, runSft(sft, goOn)) });
  if (feedback) {
    stages.push({ name: "feedback", run: () => binarizeFile(feedback.input, feedback.output, pairOptions(feedback)) });
  }
  if (dpo) stages.push({ name: "dpo", run: (follow) => follow(dpo, runDpo(dpo, goOn)) });
  return stages;
}

const pairOptions = ({ rule, seed, drop_sources, keep_truthfulqa, min_margin, min_chosen }: FeedbackRecipe) => ({
  ...{ rule, seed, keepTruthfulQa: keep_truthfulqa, minMargin: min_margin },
  ...{ dropSources: drop_sources ?? undefined, minChosen: min_chosen ?? undefined },
});
