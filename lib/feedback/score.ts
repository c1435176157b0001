import { createHash } from "node:crypto";
import { AnswerError, type AnswerFailure } from "../base/errors.js";
import { isObject } from "../base/json.js";
import { Random } from "../base/random.js";
import type { SourceRow } from "../data/source.js";
import { type Aspect, CRITERIA } from "./aspects.js";
import type { Usage } from "./budget.js";
import { type Judge, NO_USAGE, type Question } from "./judge.js";
import type { Rated } from "./rating.js";
import { meanOf, type ScoredPrompt, toScoredPrompt } from "./scored.js";

/** One call of a judge: all answers to a prompt for one criterion. */
export interface JudgeCall {
  /** Key of the prompt and its answers. */
  readonly key: string;
  readonly criterion: Aspect | "overall";
}

export interface RatedCall extends JudgeCall {
  /** Which of the row's completions were shown, in the order shown. */
  readonly order: readonly number[];
  /** Of each of them, in this order. */
  readonly ratings: readonly Rated[];
  readonly usage: Usage;
}

export interface FailedCall extends JudgeCall {
  /** `unread`: no reply could be read. Otherwise the judge's model gave none. */
  readonly failed: "unread" | AnswerFailure;
  readonly reason: string;
  /** What the judge said last. */
  readonly raw: string;
  readonly usage: Usage;
}

export type CallRecord = RatedCall | FailedCall;

export const hasFailed = (record: CallRecord): record is FailedCall => "failed" in record;

/** A row to be rated: a prompt and its answers, whatever earlier scores look like. Throws DataError for another shape. */
export function toUnscored({ fields, ...place }: SourceRow): ScoredPrompt {
  const { completions } = fields;
  const unscored = (completion: unknown): unknown =>
    isObject(completion) ? { ...completion, annotations: null, overall_score: null } : completion;
  return toScoredPrompt({
    ...place,
    fields: { ...fields, completions: Array.isArray(completions) ? completions.map(unscored) : completions },
  });
}

/** Follows from what is said and who said it: the SHA-256 of the prompt's messages and the completions. */
export function callKey({ messages, completions }: ScoredPrompt): string {
  const said = [messages, completions.map(({ model, response }) => [model, response])];
  return createHash("sha256").update(JSON.stringify(said)).digest("hex");
}

/** The question of a call, and which completions it shows: all that are not empty, in an order drawn for it alone. */
export function questionOf(
  { messages, completions, place }: ScoredPrompt,
  { key, criterion }: JudgeCall,
  seed: number,
): { readonly question: Question; readonly order: readonly number[] } {
  const written = [...completions.keys()].filter((i) => completions[i]!.response.trim() !== "");
  const stream = createHash("sha256").update(`${key} ${criterion}`).digest().readUInt32LE(0);
  const order = new Random(seed, stream).shuffle(written);
  const responses = order.map((i) => completions[i]!.response);
  return { question: { criterion: CRITERIA[criterion], messages, responses, place }, order };
}

/**
 * Carries out a call. A judge that does not answer this chat has failed it; what would end other calls too is thrown:
 * AnswerError where all is denied, BudgetError, AbortedError.
 */
export async function askJudge(
  judge: Judge,
  row: ScoredPrompt,
  call: JudgeCall,
  seed: number,
  signal?: AbortSignal,
): Promise<CallRecord> {
  const { question, order } = questionOf(row, call, seed);
  try {
    const verdict = await judge.rate(question, signal);
    return "ratings" in verdict ? { ...call, order, ...verdict } : { ...call, failed: "unread", ...verdict };
  } catch (error) {
    if (!(error instanceof AnswerError) || error.failure === "denied") throw error;
    return { ...call, failed: error.failure, reason: error.message, raw: "", usage: NO_USAGE };
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
    if (hasFailed(record)) continue;
    const at = record.order.indexOf(completion);
    if (at >= 0) rated.set(record.criterion, record.ratings[at]!);
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
