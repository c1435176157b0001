import type { NewTokens } from "../model/decode.js";
import type { Share } from "./scheduler.js";

/** A sequence's share of a step, and what is asked behind its tokens. */
export interface Part extends Share {
  /** Where in its sequence the share begins. */
  readonly first: number;
  /** Tokens of the share, the first of which is 0, behind which logits are asked. */
  readonly scored: readonly number[];
  /** Whether the token behind the share is drawn. */
  readonly draws: boolean;
  /** Whether the logits by which it is drawn are asked. */
  readonly keepsLogits: boolean;
}

/** The tokens of a step, one part behind the other. `asked`: tokens of parts behind which logits are asked. */
export function packParts(
  parts: readonly Part[],
  asked: readonly { readonly part: Part; readonly at: number }[],
  pageSize: number,
): NewTokens {
  const size = parts.reduce((sum, { count }) => sum + count, 0);
  const width = Math.max(...parts.map(({ first, count }) => Math.ceil((first + count) / pageSize)));
  const packed = {
    tokens: new Int32Array(size),
    positions: new Int32Array(size),
    sequences: new Int32Array(size),
    pages: new Int32Array(parts.length * width).fill(-1),
  };
  const begins = new Map<Part, number>();
  let begin = 0;
  parts.forEach((part, p) => {
    const { sequence, first, count } = part;
    begins.set(part, begin);
    packed.tokens.set(sequence.tokens.subarray(first, first + count), begin);
    for (let i = 0; i < count; i++) packed.positions[begin + i] = first + i;
    packed.sequences.fill(p, begin, begin + count);
    packed.pages.set(sequence.pages.slice(0, width), p * width);
    begin += count;
  });
  const rows = Int32Array.from(asked, ({ part, at }) => begins.get(part)! + at);
  return { ...packed, numSequences: parts.length, rows };
}
