import { createHash } from "node:crypto";
import { AnswerError } from "../base/errors.js";
import { Random } from "../base/random.js";
import { type Aspect, CRITERIA } from "./aspects.js";
import type { Usage } from "./budget.js";
import { type Judge, NO_USAGE, type Question } from "./judge.js";
import type { Rated } from "./rating.js";
import { meanOf, type ScoredPrompt } from "./scored.js";

/** One call of a judge: a row's answers for one criterion. */
export interface JudgeCall {
  /** The row's number, from 0. */
  readonly row: number;
  readonly criterion: Aspect | "overall";
}

/** What came of a call, as the journal keeps it. */
export type CallRecord = JudgeCall & {
  /** Which of the row's completions were shown, in the order shown. */
  readonly order: readonly number[];
  readonly usage: Usage;
} & ({ readonly ratings: readonly Rated[] } | { readonly failure: string; readonly raw: string });

/** The question of a call, and which completions it shows: all that are not empty, in an order drawn for it alone. */
export function questionOf(
  row: ScoredPrompt,
  criterion: JudgeCall["criterion"],
  seed: number,
): { readonly question: Question; readonly order: readonly number[] } {
  const written = [...row.completions.keys()].filter((i) => row.completions[i]!.response.trim() !== "");
  const key = JSON.stringify([criterion, row.messages, row.completions.map(({ model }) => model)]);
  const order = new Random(seed, createHash("sha256").update(key).digest().readUInt32LE(0)).shuffle(written);
  const { messages, place } = row;
  const responses = order.map((i) => row.completions[i]!.response);
  return { question: { criterion: CRITERIA[criterion], messages, responses, place }, order };
}

/**
 * Carries out a call. A judge whose model refuses this chat has failed it; what would end other calls too is thrown:
 * AnswerError, BudgetError, AbortedError.
 */
export async function askJudge(
  judge: Judge,
  row: ScoredPrompt,
  call: JudgeCall,
  seed: number,
  signal?: AbortSignal,
): Promise<CallRecord> {
  const { question, order } = questionOf(row, call.criterion, seed);
  try {
    return { ...call, order, ...(await judge.rate(question, signal)) };
  } catch (error) {
    if (!(error instanceof AnswerError && error.failure === "refused")) throw error;
    return { ...call, order, failure: error.message, raw: "", usage: NO_USAGE };
  }
}

/** An annotation as UltraFeedback has it. */
export interface Annotation {
  readonly Rating: string;
  readonly Rationale: string;
}

/**
 * A row with what a judge said, in UltraFeedback's shape: each completion with `annotations`, `fine-grained_score` (the mean
 * of its numeric ratings, or null) and, where it was asked for, `overall_score`. Earlier scores of the row are replaced, and
 * aspects that failed are left out.
 */
export function withRatings(
  fields: Readonly<Record<string, unknown>>,
  records: readonly CallRecord[],
): Record<string, unknown> {
  const completions = fields.completions as readonly Readonly<Record<string, unknown>>[];
  return { ...fields, completions: completions.map((completion, i) => annotate(completion, ratedOf(records, i))) };
}

/** What was said of a completion, by criterion. */
function ratedOf(records: readonly CallRecord[], completion: number): ReadonlyMap<JudgeCall["criterion"], Rated> {
  const rated = new Map<JudgeCall["criterion"], Rated>();
  for (const record of records) {
    const at = record.order.indexOf(completion);
    if ("ratings" in record && at >= 0) rated.set(record.criterion, record.ratings[at]!);
  }
  return rated;
}

function annotate(
  completion: Readonly<Record<string, unknown>>,
  rated: ReadonlyMap<JudgeCall["criterion"], Rated>,
): Record<string, unknown> {
  const { annotations: _, overall_score, "fine-grained_score": __, critique, ...kept } = completion;
  const aspects = [...rated].filter(([name]) => name !== "overall");
  const annotations = aspects.map(([name, { rating, rationale }]): [string, Annotation] => {
    return [name, { Rating: String(rating), Rationale: rationale }];
  });
  const overall = rated.get("overall");
  return {
    ...kept,
    annotations: Object.fromEntries(annotations),
    "fine-grained_score": meanOf(aspects.map(([, { rating }]) => rating)) ?? null,
    ...(overall !== undefined && { overall_score: overall.rating, critique: overall.rationale }),
  };
}
