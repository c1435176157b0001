import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { writeFileAtomic } from "../base/files.js";
import type { TrainingRecipe } from "../recipe/schema.js";
import type { LogRecord } from "../report/report.js";
import type { StepRecord } from "../train/train.js";
import type { RunSummary } from "./events.js";
import type { RunLog } from "./log.js";
import type { Prepared } from "./prepared.js";

const FILE = "summary.json";

/** Marks a run as finished: written after everything else. */
export async function writeSummary(outputDir: string, run: string, summary: RunSummary): Promise<void> {
  await writeFileAtomic(join(outputDir, FILE), `${JSON.stringify({ run, ...summary }, null, 2)}\n`);
}

/** The summary of a finished run of this hash, or undefined. */
export async function readSummary(outputDir: string, run: string): Promise<RunSummary | undefined> {
  const text = await readFile(join(outputDir, FILE), "utf8").catch(() => "{}");
  const { run: owner, ...summary } = JSON.parse(text) as RunSummary & { run?: string };
  return owner === run ? summary : undefined;
}

export interface Timing {
  readonly trainSeconds: number;
  readonly referenceSeconds: number;
}

export function summarise(
  recipe: TrainingRecipe,
  prepared: Prepared<unknown>,
  steps: readonly StepRecord[],
  log: RunLog,
  { trainSeconds, referenceSeconds }: Timing,
): RunSummary {
  const last = steps.at(-1);
  const trained = steps.reduce((sum, step) => sum + step.seconds, 0);
  const rows = steps.reduce((sum, step) => sum + step.numRows, 0);
  const tokens = steps.reduce((sum, step) => sum + step.tokens, 0);
  const times = steps.map((step) => step.seconds).sort((a, b) => a - b);
  return {
    task: prepared.kind,
    output_dir: recipe.output_dir,
    steps: last?.step ?? 0,
    epochs: last?.epoch ?? 0,
    rows: prepared.numRows,
    train_runtime: trainSeconds,
    reference_seconds: referenceSeconds,
    train_loss: steps.reduce((sum, step) => sum + step.loss, 0) / Math.max(steps.length, 1),
    num_tokens: last?.numTokens ?? 0,
    median_step_seconds: times[Math.floor(times.length / 2)] ?? 0,
    tokens_per_second: tokens / trained,
    rows_per_second: rows / trained,
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
