import { writeFileAtomic } from "../base/files.js";
import { writeRows } from "../data/write_rows.js";
import { type JudgeReport, JudgeStatistics } from "../feedback/bias.js";
import { promptIdOf } from "../feedback/binarize.js";
import { callsOf } from "../feedback/judge_calls.js";
import { hasFailed, toUnscored, withRatings } from "../feedback/score.js";
import type { Verdicts } from "../feedback/verdicts.js";
import type { FeedbackScoreRecipe } from "../recipe/feedback_score.js";
import { criteriaOf, rowsOf } from "./score_input.js";
import { type CallFailure, renderScoreReport } from "./score_report.js";

/** What was written. */
export interface ScoreOutput {
  readonly rows: number;
  readonly output: string;
  /** The report on the judge, and the same for programs. */
  readonly reports: readonly [markdown: string, json: string];
  readonly judge: JudgeReport;
  readonly failures: readonly CallFailure[];
}

/** Writes the rows with their ratings, then the reports, each whole or not at all. */
export async function writeScored(
  recipe: FeedbackScoreRecipe,
  judge: string,
  verdicts: Verdicts,
): Promise<ScoreOutput> {
  const { output, seed } = recipe;
  const statistics = new JudgeStatistics();
  const failures: CallFailure[] = [];
  let rows = 0;
  async function* scored(): AsyncGenerator<object> {
    for await (const source of rowsOf(recipe)) {
      const row = toUnscored(source);
      const calls = callsOf(row, criteriaOf(recipe));
      const records = calls.map((call) => verdicts.of(call)).filter((record) => record !== undefined);
      statistics.add(row, records);
      rows++;
      for (const { criterion, failed, reason, raw } of records.filter(hasFailed)) {
        const where = { row: `${source.source}:${source.index + 1}`, prompt_id: promptIdOf(row) };
        failures.push({ ...where, criterion, failed, reason, raw });
      }
      yield withRatings(source.fields, records);
    }
  }
  await writeRows(output, scored());
  const report = statistics.report(seed);
  const stem = output.replace(/\.(?:jsonl|jsonl\.gz|parquet)$/, "");
  const reports = [`${stem}.report.md`, `${stem}.report.json`] as const;
  await writeFileAtomic(reports[1], `${JSON.stringify({ judge, seed, rows, ...report, failures }, null, 2)}\n`);
  await writeFileAtomic(reports[0], renderScoreReport({ name: judge, output, rows, report, failures }));
  return { rows, output, reports, judge: report, failures };
}
