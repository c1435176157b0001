import { createHash } from "node:crypto";
import { ConfigError } from "../base/errors.js";
import { Random } from "../base/random.js";
import type { SourceRow } from "../data/source.js";
import type { Message } from "../text/chat_template.js";
import { type ScoredCompletion, type ScoredPrompt, toScoredPrompt } from "./scored.js";

/**
 * How a pair is chosen from one prompt's scored completions.
 * - `mean` (the Zephyr paper): the highest mean of the aspect ratings against a random one of strictly lower mean.
 * - `overall` (the released ultrafeedback_binarized): the highest `overall_score` against a random strictly lower one.
 * - `best-worst`: the highest against the lowest mean; `overall_score` where the row has fewer than two means.
 * Among equals the first in the row is taken.
 */
export type BinarizeRule = "mean" | "overall" | "best-worst";

export const BINARIZE_RULES: readonly BinarizeRule[] = ["mean", "overall", "best-worst"];

export interface BinarizeOptions {
  /** Default `mean`. */
  readonly rule?: BinarizeRule;
  /** Decides the random rejected answer. Each row draws from a stream of its own. Default 0. */
  readonly seed?: number;
  /** Keep prompts of TruthfulQA, on which models are later evaluated. Default false. */
  readonly keepTruthfulQa?: boolean;
}

/** A row as ultrafeedback_binarized has it. */
export interface PairRow {
  readonly prompt: string;
  readonly prompt_id: string;
  readonly chosen: readonly Message[];
  readonly rejected: readonly Message[];
  readonly score_chosen: number;
  readonly score_rejected: number;
  readonly chosen_model: string | null;
  readonly rejected_model: string | null;
  readonly source: string | null;
}

/** Why a row gives no pair, in the order in which it is asked. */
export const DROP_REASONS = {
  truthfulQa: "prompt is from TruthfulQA",
  emptyPrompt: "prompt is empty",
  emptyResponse: "fewer than two completions, because others are empty",
  fewerThanTwo: "fewer than two completions",
  noScores: "no completion has the score the rule asks for",
  fewerThanTwoScored: "fewer than two scored completions",
  allTied: "all scores are tied",
  sameResponse: "every lower-scored response is the same text as the best one",
} as const;

export type DropReason = keyof typeof DROP_REASONS;

export interface BinarizeReport {
  readonly rule: BinarizeRule;
  readonly seed: number;
  /** Rows read, pairs given, rows dropped: read = pairs + the sum of dropped. */
  rows: number;
  pairs: number;
  readonly dropped: Record<DropReason, number>;
  /** Completions left out of rows that were used all the same. */
  emptyCompletions: number;
  unscoredCompletions: number;
  /** Overall scores of 10 taken as the 1 they stood for. */
  repairedScores: number;
}

/** Pairs, one at a time. `report` counts what has been iterated so far and is whole at the end. */
export interface Binarized extends AsyncIterable<PairRow> {
  readonly report: BinarizeReport;
}

/**
 * Makes preference pairs from scored completions. The random choice in a row depends on the seed and on the row's own
 * prompt and models, so a part of a file or a file in another order gives the same pairs.
 * Throws ConfigError for an unknown rule and, while iterating, DataError for a row of another shape.
 */
export function binarize(
  rows: Iterable<SourceRow> | AsyncIterable<SourceRow>,
  options: BinarizeOptions = {},
): Binarized {
  const { rule = "mean", seed = 0, keepTruthfulQa = false } = options;
  if (!BINARIZE_RULES.includes(rule)) {
    throw new ConfigError("rule", `"${rule}", expected one of ${BINARIZE_RULES.join(", ")}`);
  }
  if (!Number.isSafeInteger(seed) || seed < 0) throw new ConfigError("seed", `${seed}, expected a whole number >= 0`);
  const report = emptyReport(rule, seed);

  async function* pairs(): AsyncGenerator<PairRow> {
    for await (const row of rows) {
      const scored = toScoredPrompt(row);
      report.rows++;
      const outcome = choosePair(scored, report, keepTruthfulQa);
      if (typeof outcome === "string") {
        report.dropped[outcome]++;
      } else {
        report.pairs++;
        yield outcome;
      }
    }
  }
  const iterator = pairs(); // one pass: iterating again must not count the rows twice
  return { report, [Symbol.asyncIterator]: () => iterator };
}

function emptyReport(rule: BinarizeRule, seed: number): BinarizeReport {
  const dropped = Object.fromEntries(Object.keys(DROP_REASONS).map((reason) => [reason, 0]));
  return {
    rule,
    seed,
    rows: 0,
    pairs: 0,
    dropped: dropped as Record<DropReason, number>,
    emptyCompletions: 0,
    unscoredCompletions: 0,
    repairedScores: 0,
  };
}

type Candidate = ScoredCompletion & { readonly score: number };

function choosePair(row: ScoredPrompt, report: BinarizeReport, keepTruthfulQa: boolean): PairRow | DropReason {
  if (!keepTruthfulQa && isTruthfulQa(row.source)) return "truthfulQa";
  if (row.prompt.trim() === "") return "emptyPrompt";
  const written = row.completions.filter((completion) => completion.response.trim() !== "");
  if (written.length < 2) return row.completions.length < 2 ? "fewerThanTwo" : "emptyResponse";

  const candidates = scoreAll(written, report);
  if (candidates.length === 0) return "noScores";
  if (candidates.length < 2) return "fewerThanTwoScored";

  const best = candidates.reduce((a, b) => (b.score > a.score ? b : a));
  const lower = candidates.filter((candidate) => candidate.score < best.score);
  if (lower.length === 0) return "allTied";
  const different = lower.filter((candidate) => candidate.response !== best.response);
  if (different.length === 0) return "sameResponse";

  const worst =
    report.rule === "best-worst"
      ? different.reduce((a, b) => (b.score < a.score ? b : a))
      : different[rowRandom(row, report.seed).below(different.length)]!;
  report.emptyCompletions += row.completions.length - written.length;
  report.unscoredCompletions += written.length - candidates.length;
  return toPairRow(row, best, worst);
}

function scoreAll(completions: readonly ScoredCompletion[], report: BinarizeReport): Candidate[] {
  const withMean = completions.filter((completion) => completion.meanRating !== undefined);
  const useMean = report.rule === "mean" || (report.rule === "best-worst" && withMean.length >= 2);
  if (useMean) return withMean.map((completion) => ({ ...completion, score: completion.meanRating! }));

  return completions.flatMap((completion) => {
    const { overallScore, meanRating } = completion;
    if (overallScore === undefined) return [];
    // UltraFeedback's first release stored a 1 as 10; its own correction is to trust the aspects.
    const isMistaken = overallScore === 10 && meanRating !== undefined && meanRating <= 2;
    if (isMistaken) report.repairedScores++;
    return [{ ...completion, score: isMistaken ? 1 : overallScore }];
  });
}

/** A generator for this row alone: other rows, and their order, do not move it. */
function rowRandom(row: ScoredPrompt, seed: number): Random {
  const key = JSON.stringify([row.prompt, row.completions.map((completion) => completion.model)]);
  return new Random(seed, createHash("sha256").update(key).digest().readUInt32LE(0));
}

function isTruthfulQa(source: string | null): boolean {
  return source !== null && /truthful[_ -]?qa/i.test(source);
}

function toPairRow(row: ScoredPrompt, chosen: Candidate, rejected: Candidate): PairRow {
  const conversation = (response: string): Message[] => [
    { role: "user", content: row.prompt },
    { role: "assistant", content: response },
  ];
  return {
    prompt: row.prompt,
    prompt_id: row.promptId ?? createHash("sha256").update(row.prompt).digest("hex"),
    chosen: conversation(chosen.response),
    rejected: conversation(rejected.response),
    score_chosen: chosen.score,
    score_rejected: rejected.score,
    chosen_model: chosen.model,
    rejected_model: rejected.model,
    source: row.source,
  };
}
