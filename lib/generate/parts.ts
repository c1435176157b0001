import type { Moves } from "../kernels/sample_tokens.js";
import type { NewTokens } from "../model/decode.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Share } from "./scheduler.js";
import type { Sequence } from "./sequence.js";

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

/** Tokens that the step before draws: for each of these sequences one, in the row of its index. */
export interface Drawn {
  readonly sequences: ReadonlyMap<Sequence, number>;
  readonly tokens: Tensor<"R">;
}

/**
 * The tokens of a step, one part behind the other. `asked`: tokens of parts behind which logits are asked. `drawn`: where
 * the last tokens of sequences are that run ahead.
 */
export function packParts(
  parts: readonly Part[],
  asked: readonly { readonly part: Part; readonly at: number }[],
  pageSize: number,
  drawn: Drawn | undefined,
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
  const [from, to]: [number[], number[]] = [[], []];
  let begin = 0;
  parts.forEach((part, p) => {
    const { sequence, first, count } = part;
    begins.set(part, begin);
    packed.tokens.set(sequence.tokens.subarray(first, first + count), begin);
    for (let i = 0; i < count; i++) packed.positions[begin + i] = first + i;
    packed.sequences.fill(p, begin, begin + count);
    packed.pages.set(sequence.pages.slice(0, width), p * width);
    begin += count;
    if (first + count === sequence.tokens.length + 1) {
      from.push(drawn!.sequences.get(sequence)!);
      to.push(begin - 1);
    }
  });
  const rows = Int32Array.from(asked, ({ part, at }) => begins.get(part)! + at);
  const moves = { drawn: drawn?.tokens, from: Int32Array.from(from), to: Int32Array.from(to) };
  return { ...packed, ...(to.length > 0 && { moves: moves as Moves }), numSequences: parts.length, rows };
}
