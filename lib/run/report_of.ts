import { showDuration, showNumber } from "../report/number.js";
import type { ReportContent, Sample } from "../report/report.js";
import type { RunSummary } from "./events.js";
import type { RunLog } from "./log.js";

const NAMES = { sft: "Supervised fine-tuning (dSFT)", dpo: "Direct preference optimisation (dDPO)" } as const;

/** What a run's report shows. */
export function reportOf(
  summary: RunSummary,
  parts: {
    readonly facts: readonly (readonly [string, string | number])[];
    readonly log: RunLog;
    readonly samples: readonly Sample[];
    readonly recipeText: string;
  },
): ReportContent {
  const perSecond = summary.task === "dpo" ? "pairs per second" : "rows per second";
  return {
    title: NAMES[summary.task],
    summary: `${summary.steps} steps, ${showNumber(summary.epochs)} epochs, in ${showDuration(summary.train_runtime)}.`,
    facts: [
      ...parts.facts,
      ["mean training loss", showNumber(summary.train_loss)],
      ["tokens per second", showNumber(summary.tokens_per_second)],
      [perSecond, showNumber(summary.rows_per_second)],
    ],
    records: parts.log.records,
    samples: parts.samples,
    recipe: parts.recipeText,
  };
}
