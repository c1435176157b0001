import type { Scale } from "./aspects.js";
import { isRefusal, type Rated, type Rating, type Refusal, readRating } from "./rating.js";

// Reads what a judge wrote about numbered answers. Rationales may hold anything, blank lines and numbered lists too, so
// lines are recognised by their beginning alone: a heading with an answer's number, a label of a rating or a rationale.
// No two repetitions of the same character stand side by side in the patterns, or long runs of it would take for ever.

const DECORATION = "[\\s>*_#`~•–—-]*";
const MARKS = "[\\s*_`~]*";
const WORDS = "(?:answer|response|reply|text|output|completion|candidate|assistant|model|option)";
/** `Answer 1`, `### Answer #1:`, `**Response (B)** -`, `Rating of answer 2:`; a sentence that begins so goes on otherwise. */
const HEADING = new RegExp(
  `^${DECORATION}(?:\\d+[.)]\\s${MARKS})?\\[?(?:(?:rating|score|evaluation|assessment|output|feedback)\\s+(?:of|for)\\s+)?(?:the\\s+)?${WORDS}` +
    `\\s*(?:(?:number|no\\.?|#)\\s*)?[(\\[]?(\\d+|[a-z](?![a-z]))[)\\]]{0,2}${MARKS}(?:$|(?:[:.)\\]=]|[–—-](?=\\s|$)|(?=\\())${MARKS}(.*)$)`,
  "i",
);
/** `1.`, `(2)`, `[3]`, `**4:**`, alone on its line or before a label. */
const BARE_HEADING = new RegExp(`^${DECORATION}(?:[[(](\\d{1,2})[*_]*[\\])]|(\\d{1,2})[*_]*[.:)])[*_.:]*${MARKS}(.*)$`);
const RATING = new RegExp(
  `^${DECORATION}\\(?(?:(?:final|overall|my)\\s+)?(?:rating|score)\\b${MARKS}(?:(?:\\([^()]*\\)|\\[[^[\\]]*\\])${MARKS})?` +
    `(?:[:=]|is\\b|[–—-](?=\\s)|(?=$)|(?=\\d))${MARKS}(.*)$`,
  "i",
);
const RATIONALE = new RegExp(
  `^${DECORATION}(?:rationale|reason|reasoning|explanation|justification|comments?|critique)\\b${MARKS}(?:[:=]|[–—-](?=\\s)|(?=$))${MARKS}(.*)$`,
  "i",
);
/** A rating that may be of all answers together. */
const SUMMARY = new RegExp(`^${DECORATION}\\(?(?:final|overall)\\s+(?:rating|score)\\b`, "i");
/** `1. It names the capital`: an entry of a list. */
const LISTED = /^[\s*_`]*\d+[.)][*_`]*\s+\S/;
/** Words that name one of several answers: ratings near them are not sure to be in the order shown. */
const NAMED = new RegExp(
  `^${DECORATION}(?:the\\s+)?(?:first|second|third|fourth|fifth|last|best|worst|better|worse|${WORDS})\\b|\\b${WORDS}\\W{0,3}\\d`,
  "i",
);

/**
 * The ratings of answers 1 to `count`, in this order, from the text of a judge. Every answer needs exactly one rating; a
 * text of which that is not sure is refused, with the reason.
 */
export function readRatingText(text: string, count: number, scale: Scale): readonly Rated[] | Refusal {
  const sections = toSections(toLines(text), count);
  if (isRefusal(sections)) return sections;
  const summaries = sections.map((parts) => parts.flat().find((line) => SUMMARY.test(line)));
  const summary = summaries.find((line) => line !== undefined);
  if (summary !== undefined && summaries.includes(undefined)) {
    return { refused: `${JSON.stringify(summary.trim())}, expected a rating of each answer` };
  }
  const rated: Rated[] = [];
  for (const [i, parts] of sections.entries()) {
    const found = parts.map((lines) => readSection(lines, scale)).filter((part) => part !== undefined);
    const refused = found.find(isRefusal);
    if (refused !== undefined) return { refused: `answer ${i + 1}: ${refused.refused}` };
    const [first, ...others] = found as readonly Rated[];
    if (first === undefined) return { refused: `answer ${i + 1}: no rating` };
    const other = others.find(({ rating }) => rating !== first.rating);
    if (other !== undefined) return { refused: `answer ${i + 1}: rated both ${first.rating} and ${other.rating}` };
    rated.push(first);
  }
  return rated;
}

/** Whether there is anything in a text that gives an answer a rating. */
export function hasRatings(text: string): boolean {
  const lines = toLines(text);
  const isHeading = (line: string): boolean => (headingOf(line) ?? bareHeadingOf(line)) !== undefined;
  return lines.some((line, i) => (RATING.test(line) && valueAt(lines, i).text !== "") || isHeading(line));
}

/** Labels that follow a sentence on the same line begin lines of their own. */
function toLines(text: string): string[] {
  const isLabel = "(?=[*_]*(?:rating|score|rationale|reason|explanation)[*_]*\\s*[:=])";
  return text
    .replace(/\r\n?|[\u2028\u2029]/g, "\n")
    .replace(new RegExp(`([.,;!?|)\\]*]|[–—-])[^\\S\\n]+${isLabel}`, "gi"), "$1\n")
    .split("\n");
}

/** The lines about each answer: parts of the text, of which there may be several for one. */
type Sections = readonly (readonly (readonly string[])[])[];

function toSections(lines: readonly string[], count: number): Sections | Refusal {
  for (const heading of [headingOf, bareHeadingOf]) {
    const sections = Array.from({ length: count }, (): string[][] => []);
    let part: string[] | undefined;
    let isAwaited = false; // the value of a label that stands alone on its line, which may look like a heading: [4]
    for (const line of lines) {
      const found: Heading | undefined = isAwaited ? undefined : heading(line);
      if (line.trim() !== "") isAwaited = RATING.exec(found?.rest ?? line)?.[1]?.trim() === "";
      if (found === undefined) {
        part?.push(line);
        continue;
      }
      const section = sections[found.number - 1];
      if (section === undefined) return { refused: `answer ${found.number}, expected 1 to ${count}` };
      part = [found.rest];
      section.push(part);
    }
    if (part !== undefined) return sections;
  }
  if (count === 1) return [[lines]];
  return inOrder(lines, count);
}

interface Heading {
  readonly number: number;
  /** What follows on the same line. */
  readonly rest: string;
}

function headingOf(line: string): Heading | undefined {
  const [, number, rest = ""] = HEADING.exec(line) ?? [];
  if (number === undefined) return undefined;
  return { number: /\d/.test(number) ? Number(number) : number.toUpperCase().charCodeAt(0) - 64, rest };
}

function bareHeadingOf(line: string): Heading | undefined {
  const [, bracketed, plain, rest = ""] = BARE_HEADING.exec(line) ?? [];
  const number = bracketed ?? plain;
  if (number === undefined || !(rest === "" || RATING.test(rest) || RATIONALE.test(rest))) return undefined;
  return { number: Number(number), rest };
}

/** Without numbers: as many ratings as answers, in their order, where nothing hints at another one. */
function inOrder(lines: readonly string[], count: number): Sections | Refusal {
  const rated = lines.flatMap((line, i) => (RATING.test(line) ? [i] : []));
  if (rated.length !== count) return { refused: `${rated.length} ratings without numbers, expected ${count} answers` };
  if (lines.some((line) => NAMED.test(line))) return { refused: "answers without numbers, expected Answer 1, ..." };
  const rationaleFirst = lines.slice(0, rated[0]).some((line) => RATIONALE.test(line));
  return rated.map((at, i) => [
    rationaleFirst ? lines.slice(i === 0 ? 0 : rated[i - 1]! + 1, at + 1) : lines.slice(at, rated[i + 1]),
  ]);
}

/** The rating in the lines about one answer, if there is one. */
function readSection(lines: readonly string[], scale: Scale): Rated | Refusal | undefined {
  const labels = lines.flatMap((line, i) => (RATING.test(line) ? [i] : []));
  const values = labels.map((at) => valueAt(lines, at));
  const ratings = values.map(({ text }) => readRating(text, scale));
  if (ratings.length === 0) {
    const bare = readRating(lines[0]!, scale); // `Answer 1: 4`
    return isRefusal(bare) || LISTED.test(lines[0]!)
      ? undefined
      : { rating: bare, rationale: rationaleOf(lines.slice(1), []) };
  }
  const refused = ratings.find(isRefusal);
  if (refused !== undefined) return refused;
  const [rating, ...others] = ratings as readonly Rating[];
  const other = others.find((value) => value !== rating);
  if (other !== undefined) return { refused: `rated both ${rating} and ${other}` };
  return { rating: rating!, rationale: rationaleOf(lines, [...labels, ...values.map(({ line }) => line)]) };
}

/** What stands behind a label, or, where that is nothing, on the next line that is not blank. */
function valueAt(lines: readonly string[], label: number): { readonly line: number; readonly text: string } {
  const text = RATING.exec(lines[label]!)![1]!;
  if (text.trim() !== "") return { line: label, text };
  const line = lines.findIndex((line, i) => i > label && line.trim() !== "");
  return { line, text: lines[line] ?? "" };
}

/** From the label of the rationale on, or all lines where there is none, without ratings. */
function rationaleOf(lines: readonly string[], ratings: readonly number[]): string {
  const begin = lines.findIndex((line) => RATIONALE.test(line));
  const end = Math.min(...ratings.filter((at) => at > begin), lines.length);
  const kept = lines.flatMap((line, i) => {
    if (begin >= 0 && (i < begin || i >= end)) return [];
    if (ratings.includes(i) || /^\s*(?:-{3,}|\*{3,}|_{3,})\s*$/.test(line)) return [];
    return [i === begin ? RATIONALE.exec(line)![1]! : line];
  });
  return kept.join("\n").trim();
}
