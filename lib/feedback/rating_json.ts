import { isObject } from "../base/json.js";
import type { Scale } from "./aspects.js";
import { checkRating, isRefusal, type Rated, type Rating, type Refusal, readRating } from "./rating.js";
import { hasRatings, readRatingText } from "./rating_text.js";

/** The form in which a judge is held to answer where an endpoint can do that. */
export const ratingSchema = ({ least, most, mayNotApply }: Scale) => {
  const numbers = Array.from({ length: most - least + 1 }, (_, i) => String(least + i));
  return {
    type: "object",
    properties: {
      answers: {
        type: "array",
        items: {
          type: "object",
          properties: {
            answer: { type: "integer" },
            rationale: { type: "string" },
            rating: { type: "string", enum: mayNotApply ? [...numbers, "N/A"] : numbers },
          },
          required: ["answer", "rationale", "rating"],
          additionalProperties: false,
        },
      },
    },
    required: ["answers"],
    additionalProperties: false,
  };
};

/**
 * The ratings of answers 1 to `count` in a reply that is JSON, or has JSON in it: a list of objects with a rating, alone
 * or as an entry of an object, or an object with an entry an answer. With words around it each entry has to tell of which
 * answer it is, or why, and the words must not rate otherwise. What the judge was shown it may quote: JSON that stands in a
 * text of `shown` is part of the words, if there are any. Undefined where there is none such.
 */
export function readRatingJson(
  text: string,
  count: number,
  scale: Scale,
  shown: readonly string[],
): readonly Rated[] | Refusal | undefined {
  for (const parts of candidates(text)) {
    const all = parts.flatMap((part) => {
      const json = text.slice(part.begin, part.end);
      const entries = entriesOf(parse(json));
      return entries === undefined ? [] : [{ ...part, json, entries }];
    });
    const isAlone = textBetween(text, all).trim() === "";
    const found = isAlone ? all : all.filter(({ json }) => !isQuoted(json, shown));
    const isTold = isAlone || found.every(({ entries }) => entries.every(tellsOfAnswer));
    const [first, ...others] = found.map(({ entries }) => readEntries(entries, count, scale));
    if (first === undefined || !isTold) continue;
    const isSure = others.every((other) => ratingsIn(other) === ratingsIn(first));
    if (!isSure) return { refused: "ratings twice, and not the same" };
    const words = textBetween(text, found);
    const agrees = !hasRatings(words) || ratingsIn(readRatingText(words, count, scale)) === ratingsIn(first);
    return agrees ? first : { refused: "ratings in JSON and in words, and not the same" };
  }
  return undefined;
}

const ratingsIn = (read: readonly Rated[] | Refusal): string =>
  isRefusal(read) ? read.refused : read.map(({ rating }) => rating).join();

/** A part of a text that may be JSON. */
interface Part {
  readonly begin: number;
  readonly end: number;
}

/** All of a text, else what is fenced, else what is in the outermost brackets, on lines of its own or behind a colon. */
function* candidates(text: string): Generator<readonly Part[]> {
  yield [{ begin: 0, end: text.length }];
  yield [...text.matchAll(/```(?:json)?\s*\n([\s\S]*?)```/dgi)].map(({ indices }) => {
    const [begin, end] = indices![1]!;
    return { begin, end };
  });
  for (const [open, close] of ["{}", "[]"]) {
    const [begin, end] = [text.indexOf(open!), text.lastIndexOf(close!) + 1];
    if (begin < 0 || end <= begin) continue;
    const before = text.slice(text.lastIndexOf("\n", begin) + 1, begin).trimEnd();
    if (/(?:^|:)[*_]*$/.test(before) && /^[\s.*_]*(?:\n|$)/.test(text.slice(end))) yield [{ begin, end }];
  }
}

/** Whether it stands in a text, however it is laid out. */
const isQuoted = (json: string, texts: readonly string[]): boolean =>
  texts.some((text) => withoutBlanks(text).includes(withoutBlanks(json)));

const withoutBlanks = (text: string): string => text.replace(/\s+/g, "");

/** Without the parts, and without the fences around them. */
function textBetween(text: string, parts: readonly Part[]): string {
  const begins = [0, ...parts.map(({ end }) => end)];
  const between = begins.map((begin, i) => text.slice(begin, parts[i]?.begin));
  return between.join("\n").replace(/```(?:json)?/gi, "");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

interface Entry {
  /** Of the answer, from 1; undefined where it is not told. */
  readonly number: unknown;
  readonly fields: Readonly<Record<string, unknown>>;
}

function entriesOf(value: unknown): readonly Entry[] | undefined {
  if (Array.isArray(value)) {
    const fields = value.map(lowerCase);
    if (fields.length === 0 || !fields.every((entry) => entry !== undefined && ratingOf(entry) !== undefined)) return;
    return (fields as Entry["fields"][]).map((entry) => ({ number: numberOf(entry), fields: entry }));
  }
  if (!isObject(value)) return undefined;
  const inner = Object.entries(value);
  const lists = inner.map(([, entry]) => (Array.isArray(entry) ? entriesOf(entry) : undefined)).filter(Boolean);
  if (lists.length === 1) return lists[0];
  const own = lowerCase(value)!;
  if (ratingOf(own) !== undefined) return [{ number: numberOf(own), fields: own }];
  const named = inner.flatMap(([name, entry]) => {
    const number = /^(?:\D*[^\d.-])?(\d+)$/.exec(name)?.[1];
    const fields = lowerCase(entry);
    return number !== undefined && fields !== undefined && ratingOf(fields) !== undefined ? [{ number, fields }] : [];
  });
  return named.length > 0 ? named : undefined;
}

function readEntries(entries: readonly Entry[], count: number, scale: Scale): readonly Rated[] | Refusal {
  if (entries.length !== count) return { refused: `${entries.length} ratings, expected ${count}` };
  const isNumbered = entries.some(({ number }) => number !== undefined);
  const rated: Rated[] = [];
  for (let at = 1; at <= count; at++) {
    const own = isNumbered ? entries.filter(({ number }) => toNumber(number) === at) : [entries[at - 1]!];
    if (own.length !== 1) return { refused: `answer ${at}: ${own.length === 0 ? "no rating" : "rated twice"}` };
    const { fields } = own[0]!;
    const rating = readValue(ratingOf(fields), scale);
    if (isRefusal(rating)) return { refused: `answer ${at}: ${rating.refused}` };
    const score = readValue(fields.score ?? rating, scale);
    if (score !== rating) return { refused: `answer ${at}: rated both ${rating} and ${fields.score}` };
    rated.push({ rating, rationale: rationaleOf(fields)?.trim() ?? "" });
  }
  return rated;
}

function readValue(value: unknown, scale: Scale): Rating | Refusal {
  if (typeof value === "number") return checkRating(value, scale);
  return readRating(typeof value === "string" ? value : (JSON.stringify(value) ?? ""), scale);
}

function lowerCase(value: unknown): Entry["fields"] | undefined {
  if (!isObject(value)) return undefined;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key.toLowerCase(), entry]));
}

const ratingOf = (fields: Entry["fields"]): unknown => fields.rating ?? fields.score;

const numberOf = ({ answer, number, id, index }: Entry["fields"]): unknown => answer ?? number ?? id ?? index;

const rationaleOf = ({ rationale, reason, explanation }: Entry["fields"]): string | undefined =>
  [rationale, reason, explanation].find((value) => typeof value === "string") as string | undefined;

const tellsOfAnswer = ({ number, fields }: Entry): boolean => number !== undefined || rationaleOf(fields) !== undefined;

/** `2`, `"2"`, `"Answer #2"`; the text of an answer is no number, whatever it ends with. */
const toNumber = (value: unknown): number =>
  Number(/^\s*(?:(?:answer|response|reply|text|output|completion)[\s_-]*)?#?\(?(\d+)\)?\s*$/i.exec(String(value))?.[1]);
