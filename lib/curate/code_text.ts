/** Where a text is something else than prose: code, formulas, addresses, tags. Half-open, in order. */
export type Spans = readonly (readonly [begin: number, end: number])[];

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

export function foreignSpans(text: string): Spans {
  return Array.from(text.matchAll(SPANS), ({ index, 0: found }) => [index, index + found.length] as const);
}

const CODE_LINE =
  /[{}<>=|\\~^]|;\s*$|\w\(|\$[A-Za-z#({]|;\s+(?:then|do)\b|::|->|^(?: {4}|\t)|^\s*(?:\/\/|--|\/\*|\*\/|#|[$>] |@)/i;
const STATEMENT = /^\s*(?:import \S+$|from \S+ import |package \S+$|def |elif )/i;

/** Whether a line reads like source code, a command, a formula or a table rather than prose. */
export const looksLikeCode = (line: string): boolean => CODE_LINE.test(line) || STATEMENT.test(line);

/** Whether so many of a text's lines look like code that none of it is taken for prose. */
export function isMostlyCode(text: string): boolean {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return 4 * lines.filter(looksLikeCode).length >= lines.length;
}
