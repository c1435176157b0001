import { readRows } from "../data/source.js";
import { writeRows } from "../data/write_rows.js";
import { type BinarizeOptions, type BinarizeReport, binarize } from "../feedback/binarize.js";
import type { CandidateOptions } from "../feedback/candidates.js";
import { compareJudges, type JudgeComparison } from "../feedback/compare_judges.js";
import { type RankingReport, rankCompletions } from "../feedback/rank.js";

/** Reads scored completions and writes preference pairs, whole or not at all. Returns the counts. */
export async function binarizeFile(input: string, output: string, options: BinarizeOptions): Promise<BinarizeReport> {
  const pairs = binarize(readRows(input), options);
  await writeRows(output, pairs);
  return pairs.report;
}

/** Reads scored completions and writes each prompt's answers, best first, whole or not at all. Returns the counts. */
export async function rankFile(input: string, output: string, options: CandidateOptions): Promise<RankingReport> {
  const rankings = rankCompletions(readRows(input), options);
  await writeRows(output, rankings);
  return rankings.report;
}

/** Compares the scores of two judges in files of scored completions. */
export const compareJudgeFiles = (a: string, b: string): Promise<JudgeComparison> =>
  compareJudges(readRows(a), readRows(b));
