import type { Scale } from "./aspects.js";

export type Rating = number | "N/A";

/** What a judge says of one answer. */
export interface Rated {
  readonly rating: Rating;
  readonly rationale: string;
}

/** Why something is not taken for a rating. */
export interface Refusal {
  readonly refused: string;
}

export const isRefusal = (value: object | Rating): value is Refusal => typeof value === "object" && "refused" in value;

const NUMBER = /^([+-]?\d+(?:\.\d+)?)(?:\s*\(?(?:\/|out of|of)\s*(\d+(?:\.\d+)?))?/i;
const NOT_APPLICABLE = /^(?:n\s*[/.\\]?\s*a\b\.?|not[\s-]applicable\b)/i;
/** What may follow a rating: nothing, or a remark set off from it. */
const REMARK = /^\s*(?:(?:stars?|points?)\b\s*)?(?:$|[.;:!\])"'](?!\s*\d)|\((?!\s*\d)|[,–—-]\s+(?![\s\d]))/i;
/** A remark that takes the rating back. */
const DOUBT = /^\W*(?:or|maybe|perhaps|possibly|hm+|wait|(?:no|not)\s*[,.:;!])/i;

/**
 * Reads a rating as judges write it: `4`, `**4**`, `4.5`, `4/5`, `4 out of 5`, `[4] (nearly all)`, `n.a.`, `not applicable`.
 * Decimals are kept. A rating out of another number than the scale's, such as 8/10 of 1 to 5, is refused rather than
 * converted, since the judge may have meant another scale.
 */
export function readRating(text: string, scale: Scale): Rating | Refusal {
  const plain = text.replace(/[*_`~]/g, "").trim();
  const bare = plain.replace(/^["'[(<]+\s*/, "").replace(/^([^\s\])>"']+)\s*[\])>"']+/, "$1");
  const notApplicable = NOT_APPLICABLE.exec(bare)?.[0];
  if (notApplicable !== undefined && isRemark(bare.slice(notApplicable.length), scale)) {
    return scale.mayNotApply ? "N/A" : refuse("N/A", `a number from ${scale.least} to ${scale.most}`);
  }
  const [whole, number, outOf] = NUMBER.exec(bare) ?? [];
  if (whole === undefined || !isRemark(bare.slice(whole.length), scale)) return refuse(plain, describeScale(scale));
  if (outOf !== undefined && Number(outOf) !== scale.most) return refuse(whole, `a rating out of ${scale.most}`);
  return checkRating(Number(number), scale);
}

/** Whether it may follow a rating. A further number of the scale in it could be the rating as well: `4 (maybe 5)`. */
function isRemark(text: string, scale: Scale): boolean {
  if (!REMARK.test(text) || DOUBT.test(text)) return false;
  const others = text.match(/(?<![\w.])\d+(?:\.\d+)?(?!\w)/g) ?? [];
  return others.every((other) => isRefusal(checkRating(Number(other), scale)));
}

/** A number that lies on the scale. */
export function checkRating(value: number, scale: Scale): Rating | Refusal {
  return value >= scale.least && value <= scale.most ? value : refuse(String(value), describeScale(scale));
}

export const describeScale = ({ least, most, mayNotApply }: Scale): string =>
  `a number from ${least} to ${most}${mayNotApply ? " or N/A" : ""}`;

function refuse(found: string, expected: string): Refusal {
  const shown = found === "" ? "nothing" : JSON.stringify(found.length > 60 ? `${found.slice(0, 57)}...` : found);
  return { refused: `${shown}, expected ${expected}` };
}
