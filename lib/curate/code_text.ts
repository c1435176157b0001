import { PROGRAMS } from "./truecase_words.js";

/** Parts of a text, half-open, by where they begin. */
export type Spans = readonly (readonly [begin: number, end: number])[];

/**
 * Where a text is something else than prose: code, fenced or not, formulas, addresses, tags. Of a text in which a quarter of
 * the lines looks like code, all of it.
 */
export function foreignSpans(text: string): Spans {
  const spans = Array.from(text.matchAll(SPANS), ({ index, 0: found }) => [index, index + found.length] as const);
  let [begin, lines, codeLines] = [0, 0, 0];
  for (const line of text.split("\n")) {
    if (line.trim() !== "") lines++;
    if (looksLikeCode(line)) {
      codeLines++;
      spans.push([begin, begin + line.length]);
    }
    begin += line.length + 1;
  }
  return 4 * codeLines >= lines ? [[0, text.length]] : spans.sort(([a], [b]) => a - b);
}

const SPANS = new RegExp(
  [
    "```[^]*?(?:```|$)", // fenced code; without an end all that follows
    "~~~[^]*?(?:~~~|$)",
    "`[^`\\n]*`",
    "\\$\\$[^]{0,4000}?\\$\\$|\\\\\\[[^]{0,4000}?\\\\\\]|\\\\\\([^]{0,4000}?\\\\\\)", // formulas
    "<[^<>\\n]*>",
    "\\b[A-Za-z][A-Za-z+.-]{0,20}://\\S*",
    "[^\\s@]{1,64}@[^\\s@]+",
  ].join("|"),
  "g",
);

const CODE_LINE =
  /[{}<>=|\\~^]|;\s*$|\w\(|\$[A-Za-z#({]|;\s+(?:then|do)\b|::|->|^(?: {4}|\t)|^\s*(?:\/\/|--|\/\*|\*\/|#|[$>] |@)/i;
const STATEMENT = /^\s*(?:import \S+$|from \S+ import |package \S+$|def |elif )/i;

/** Whether a line reads like source code, a command, a formula or a table rather than prose. */
const looksLikeCode = (line: string): boolean =>
  CODE_LINE.test(line) || STATEMENT.test(line) || PROGRAMS.has(line.trimStart().split(/\s/, 1)[0]!);
