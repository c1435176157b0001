import { writeRows } from "../data/write_rows.js";
import { type BinarizeOptions, type BinarizeReport, binarize } from "../feedback/binarize.js";
import type { CandidateOptions } from "../feedback/candidates.js";
import { compareJudges, type JudgeComparison } from "../feedback/compare_judges.js";
import { type RankingReport, rankCompletions } from "../feedback/rank.js";
import type { HubOptions } from "../hub/resolve.js";
import { checkApart } from "./output_apart.js";
import { readDataset } from "./read_dataset.js";

/**
 * Reads scored completions, of a file, a folder or a data set of the hub, and writes preference pairs, whole or not at all.
 * Returns the counts. Throws ConfigError for an output that would take the input's place.
 */
export async function binarizeFile(
  input: string,
  output: string,
  options: BinarizeOptions,
  hub: HubOptions = {},
): Promise<BinarizeReport> {
  await checkApart(input, output);
  const pairs = binarize(readDataset(input, {}, hub), options);
  await writeRows(output, pairs);
  return pairs.report;
}

/** The same for each prompt's answers, best first. */
export async function rankFile(
  input: string,
  output: string,
  options: CandidateOptions,
  hub: HubOptions = {},
): Promise<RankingReport> {
  await checkApart(input, output);
  const rankings = rankCompletions(readDataset(input, {}, hub), options);
  await writeRows(output, rankings);
  return rankings.report;
}

/** Compares the scores of two judges in files of scored completions. */
export const compareJudgeFiles = (a: string, b: string): Promise<JudgeComparison> =>
  compareJudges(readDataset(a), readDataset(b));
