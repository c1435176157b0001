import { ConfigError } from "../base/errors.js";
import type { ScoredCompletion, ScoredPrompt } from "./scored.js";

/**
 * How a pair is chosen from one prompt's scored completions.
 * - `mean` (the Zephyr paper): the highest mean of the aspect ratings against a random one of strictly lower mean.
 * - `overall` (the released ultrafeedback_binarized): the highest `overall_score` against a random strictly lower one.
 * - `best-worst`: the highest against the lowest mean; `overall_score` where the row has fewer than two means.
 * Among equals the first in the row is taken.
 */
export type BinarizeRule = "mean" | "overall" | "best-worst";

export const BINARIZE_RULES: readonly BinarizeRule[] = ["mean", "overall", "best-worst"];

/** Which prompts and completions are used. */
export interface CandidateOptions {
  /** Default `mean`. */
  readonly rule?: BinarizeRule | undefined;
  /** Keep prompts of TruthfulQA, on which models are later evaluated. Default false. */
  readonly keepTruthfulQa?: boolean | undefined;
  /** Other sources whose prompts are left out, by the rows' `source`; case, spaces, `-` and `_` do not count. */
  readonly dropSources?: readonly string[] | undefined;
  /** Least difference of the two scores of a pair. Default 0: any that is not a tie. */
  readonly minMargin?: number | undefined;
  /** Least score of the better answer. Default: any. */
  readonly minChosen?: number | undefined;
}

/** Why a row gives nothing, in the order in which it is asked. */
export const DROP_REASONS = {
  truthfulQa: "prompt is from TruthfulQA",
  source: "prompt is from a source that is left out",
  emptyPrompt: "prompt is empty",
  emptyResponse: "fewer than two completions, because others are empty",
  fewerThanTwo: "fewer than two completions",
  noScores: "no completion has the score the rule asks for",
  fewerThanTwoScored: "fewer than two scored completions",
  lowChosen: "the best score is too low",
  allTied: "all scores are tied",
  smallMargin: "no score is far enough below the best",
  sameResponse: "every lower-scored response is the same text as the best one",
} as const;

export type DropReason = keyof typeof DROP_REASONS;

/** What became of the rows. */
export interface CandidateCounts {
  /** Rows read: those used and the sum of dropped. */
  rows: number;
  readonly dropped: Record<DropReason, number>;
  /** Completions left out of rows that were used all the same. */
  emptyCompletions: number;
  unscoredCompletions: number;
  /** Overall scores of 10 taken as the 1 they stood for. */
  repairedScores: number;
}

export type Candidate = ScoredCompletion & { readonly score: number };

/** The scored completions of a row, the best of them, and those so much worse that they may be rejected. */
export interface Candidates {
  readonly all: readonly Candidate[];
  readonly best: Candidate;
  readonly lower: readonly Candidate[];
}

export const noCounts = (): CandidateCounts => ({
  rows: 0,
  dropped: Object.fromEntries(Object.keys(DROP_REASONS).map((reason) => [reason, 0])) as Record<DropReason, number>,
  emptyCompletions: 0,
  unscoredCompletions: 0,
  repairedScores: 0,
});

/** Throws ConfigError for options that cannot be. */
export function checkCandidateOptions({ rule = "mean", minMargin = 0, minChosen = 0 }: CandidateOptions): void {
  if (!BINARIZE_RULES.includes(rule)) {
    throw new ConfigError("rule", `"${rule}", expected one of ${BINARIZE_RULES.join(", ")}`);
  }
  if (!(minMargin >= 0 && Number.isFinite(minMargin)))
    throw new ConfigError("minMargin", `${minMargin}, expected a number >= 0`);
  if (!Number.isFinite(minChosen)) throw new ConfigError("minChosen", `${minChosen}, expected a number`);
}

// Means of thirds and the like, written as decimals, are not to miss a margin by their rounding.
const ROUNDING = 1e-9;

/** Finds a row's candidates, or why it has none, and counts both. */
export function findCandidates(
  row: ScoredPrompt,
  options: CandidateOptions,
  counts: CandidateCounts,
): Candidates | undefined {
  const found = candidatesOf(row, options, counts);
  counts.rows++;
  if (typeof found !== "string") return found;
  counts.dropped[found]++;
  return undefined;
}

function candidatesOf(
  row: ScoredPrompt,
  { rule = "mean", keepTruthfulQa = false, dropSources = [], minMargin = 0, minChosen }: CandidateOptions,
  counts: CandidateCounts,
): Candidates | DropReason {
  const source = plainName(row.source ?? "");
  if (!keepTruthfulQa && source.includes("truthfulqa")) return "truthfulQa";
  if (dropSources.some((name) => plainName(name) === source)) return "source";
  if (row.messages.at(-1)!.content.trim() === "") return "emptyPrompt";
  const written = row.completions.filter((completion) => completion.response.trim() !== "");
  if (written.length < 2) return row.completions.length < 2 ? "fewerThanTwo" : "emptyResponse";

  const all = scoreAll(written, rule, counts);
  if (all.length === 0) return "noScores";
  if (all.length < 2) return "fewerThanTwoScored";
  const best = all.reduce((a, b) => (b.score > a.score ? b : a));
  if (minChosen !== undefined && best.score < minChosen - ROUNDING) return "lowChosen";
  const lower = all.filter(({ score }) => score < best.score);
  if (lower.length === 0) return "allTied";
  const far = lower.filter(({ score }) => best.score - score >= minMargin - ROUNDING);
  if (far.length === 0) return "smallMargin";
  const different = far.filter(({ response }) => response !== best.response);
  if (different.length === 0) return "sameResponse";

  counts.emptyCompletions += row.completions.length - written.length;
  counts.unscoredCompletions += written.length - all.length;
  return { all, best, lower: different };
}

/** `TruthfulQA` of `truthful_qa`. */
const plainName = (source: string): string => source.toLowerCase().replace(/[\s_-]/g, "");

function scoreAll(
  completions: readonly ScoredCompletion[],
  rule: BinarizeRule,
  counts: CandidateCounts,
): readonly Candidate[] {
  const withMean = completions.filter((completion) => completion.meanRating !== undefined);
  const useMean = rule === "mean" || (rule === "best-worst" && withMean.length >= 2);
  if (useMean) return withMean.map((completion) => ({ ...completion, score: completion.meanRating! }));

  return completions.flatMap((completion) => {
    const { overallScore, meanRating } = completion;
    if (overallScore === undefined) return [];
    // UltraFeedback's first release stored a 1 as 10; its own correction is to trust the aspects.
    const isMistaken = overallScore === 10 && meanRating !== undefined && meanRating <= 2;
    if (isMistaken) counts.repairedScores++;
    return [{ ...completion, score: isMistaken ? 1 : overallScore }];
  });
}
