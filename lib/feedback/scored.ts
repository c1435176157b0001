import { DataError, type RowPlace } from "../base/errors.js";
import { isObject } from "../base/json.js";
import { toMessages } from "../data/messages.js";
import type { SourceRow } from "../data/source.js";
import type { Message } from "../text/chat_template.js";
import type { Rating } from "./rating.js";

/** One model's answer with its scores. A score is undefined when the row gives none. */
export interface ScoredCompletion {
  readonly model: string | null;
  readonly response: string;
  /** By aspect; an aspect that was not rated is missing. */
  readonly ratings: ReadonlyMap<string, Rating>;
  /** Mean of the numeric ratings; "N/A" does not count. */
  readonly meanRating: number | undefined;
  /** The `overall_score` field. */
  readonly overallScore: number | undefined;
}

/** One prompt and what several models answered, as UltraFeedback stores it. */
export interface ScoredPrompt {
  /** The row's `instruction`. */
  readonly prompt: string;
  /** The chat that is answered: the row's `messages`, or the instruction as what a user says. */
  readonly messages: readonly Message[];
  readonly promptId: string | null;
  readonly source: string | null;
  readonly completions: readonly ScoredCompletion[];
  readonly place: RowPlace;
}

/**
 * Reads a row of UltraFeedback's shape: `{instruction, completions: [{model, response, annotations, overall_score}],
 * source?, prompt_id?, messages?}`. A rating is found wherever an annotation has a `Rating`: in one object
 * (`{helpfulness: {Rating: "4"}}`) or in several reviews of one aspect (`{rubric: [{Rating: 4}, {Rating: 5}]}`), which
 * count as their mean. Annotations without a `Rating` are not ratings. Throws DataError when the row has another shape.
 */
export function toScoredPrompt(row: SourceRow): ScoredPrompt {
  const place = { source: row.source, index: row.index };
  const { instruction, completions } = row.fields;
  if (typeof instruction !== "string") throw mismatch(place, "instruction", instruction, "a string");
  if (!Array.isArray(completions)) throw mismatch(place, "completions", completions, "a list");
  return {
    prompt: instruction,
    messages: promptMessages(row.fields.messages, instruction, place),
    promptId: optionalString(row.fields.prompt_id, "prompt_id", place),
    source: optionalString(row.fields.source, "source", place),
    completions: completions.map((completion, i) => toCompletion(completion, `completions[${i}]`, place)),
    place,
  };
}

function promptMessages(value: unknown, instruction: string, place: RowPlace): readonly Message[] {
  if (value === undefined || value === null) return [{ role: "user", content: instruction }];
  const messages = toMessages(place, "messages", value);
  if (messages.at(-1)!.role !== "assistant") return messages;
  throw new DataError(place, "messages: the assistant's is the last, expected the one that is answered");
}

function toCompletion(value: unknown, key: string, place: RowPlace): ScoredCompletion {
  if (!isObject(value)) throw mismatch(place, key, value, "an object");
  if (typeof value.response !== "string") throw mismatch(place, `${key}.response`, value.response, "a string");
  const ratings = toRatings(value.annotations, `${key}.annotations`, place);
  return {
    model: optionalString(value.model, `${key}.model`, place),
    response: value.response,
    ratings,
    meanRating: meanOf([...ratings.values()]),
    overallScore: toNumber(value.overall_score, `${key}.overall_score`, place),
  };
}

function toRatings(annotations: unknown, key: string, place: RowPlace): Map<string, Rating> {
  const ratings = new Map<string, Rating>();
  if (annotations === undefined || annotations === null) return ratings;
  if (!isObject(annotations)) throw mismatch(place, key, annotations, "an object");
  for (const [aspect, value] of Object.entries(annotations)) {
    const rating = aspectRating(value, `${key}.${aspect}`, place);
    if (rating !== undefined) ratings.set(aspect, rating);
  }
  return ratings;
}

function aspectRating(value: unknown, key: string, place: RowPlace): Rating | undefined {
  if (Array.isArray(value)) {
    const reviews = value.map((review, i) => aspectRating(review, `${key}[${i}]`, place));
    const told = reviews.filter((review) => review !== undefined);
    return told.length === 0 ? undefined : (meanOf(told) ?? "N/A");
  }
  if (!isObject(value) || value.Rating == null) return undefined; // null: a .parquet row without it
  return toNumber(value.Rating, `${key}.Rating`, place) ?? "N/A";
}

/** Mean of the numbers among ratings; undefined where there are none. */
export function meanOf(ratings: readonly Rating[]): number | undefined {
  const numbers = ratings.filter((rating) => rating !== "N/A");
  return numbers.length === 0 ? undefined : numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
}

/** A number, also one written as text. Nothing, an empty text and "N/A" are undefined. */
function toNumber(value: unknown, key: string, place: RowPlace): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string" && /^\s*(n\/?a)?\s*$/i.test(value)) return undefined;
  const number = typeof value === "string" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isFinite(number)) throw mismatch(place, key, value, 'a number or "N/A"');
  return number;
}

function optionalString(value: unknown, key: string, place: RowPlace): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== "string") throw mismatch(place, key, value, "a string");
  return value;
}

function mismatch(place: RowPlace, key: string, found: unknown, expected: string): DataError {
  const shown = found === undefined ? "missing" : JSON.stringify(found);
  return new DataError(
    place,
    `${key}: ${shown.length > 60 ? `${shown.slice(0, 57)}...` : shown}, expected ${expected}`,
  );
}
