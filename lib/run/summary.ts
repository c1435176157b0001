import { existsSync } from "node:fs";
import { join } from "node:path";

import { writeFileAtomic } from "../base/files.js";
import { readJson } from "../base/json.js";
import type { TrainingRecipe } from "../recipe/schema.js";
import type { LogRecord } from "../report/report.js";
import type { RunSummary } from "./events.js";
import type { RunLog } from "./log.js";
import type { Prepared } from "./prepared.js";
import type { Totals } from "./totals.js";

const FILE = "summary.json";

/** Marks a run as finished: written after everything else. */
export async function writeSummary(outputDir: string, run: string, summary: RunSummary): Promise<void> {
  await writeFileAtomic(join(outputDir, FILE), `${JSON.stringify({ run, ...summary }, null, 2)}\n`);
}

/** The summary of a finished run of this hash, or undefined. */
export async function readSummary(outputDir: string, run: string): Promise<RunSummary | undefined> {
  const path = join(outputDir, FILE);
  if (!existsSync(path)) return undefined;
  const { run: owner, ...summary } = (await readJson(path)) as RunSummary & { run?: string };
  return owner === run ? summary : undefined;
}

export function summarise(
  recipe: TrainingRecipe,
  prepared: Prepared<unknown>,
  log: RunLog,
  totals: Totals,
): RunSummary {
  const times = totals.stepSeconds.toSorted((a, b) => a - b);
  const trained = times.reduce((sum, seconds) => sum + seconds, 0);
  return {
    task: prepared.kind,
    output_dir: recipe.output_dir,
    steps: totals.steps,
    epochs: totals.epochs,
    rows: prepared.numRows,
    train_runtime: totals.trainSeconds,
    reference_seconds: totals.referenceSeconds,
    train_loss: totals.losses / totals.steps,
    num_tokens: totals.numTokens,
    median_step_seconds: times[Math.floor(times.length / 2)]!,
    tokens_per_second: totals.tokens / trained,
    rows_per_second: totals.rows / trained,
    evaluation: log.records.findLast((record) => "eval_loss" in record) ?? null,
    report: recipe.report ? join(recipe.output_dir, "report.md") : null,
  };
}

/** The last line of a run's log, under transformers' names; the rates are of the steps alone. */
export function endRecord(summary: RunSummary): LogRecord {
  return {
    step: summary.steps,
    epoch: summary.epochs,
    train_runtime: summary.train_runtime,
    train_samples_per_second: summary.rows_per_second,
    train_steps_per_second: 1 / summary.median_step_seconds,
    train_loss: summary.train_loss,
  };
}
