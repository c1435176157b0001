import type { NewTokens } from "../model/decode.js";
import type { Share } from "./scheduler.js";

/** The tokens of a step one share behind the other. `asked`: of each share, the tokens behind which logits are asked. */
export function packShares(
  shares: readonly Share[],
  asked: readonly (readonly number[])[],
  pageSize: number,
): NewTokens {
  const size = shares.reduce((sum, { count }) => sum + count, 0);
  const width = Math.max(...shares.map(({ sequence, count }) => Math.ceil((sequence.numComputed + count) / pageSize)));
  const packed = {
    tokens: new Int32Array(size),
    positions: new Int32Array(size),
    sequences: new Int32Array(size),
    pages: new Int32Array(shares.length * width).fill(-1),
  };
  const rows: number[] = [];
  let begin = 0;
  shares.forEach(({ sequence, count }, s) => {
    const first = sequence.numComputed;
    packed.tokens.set(sequence.tokens.subarray(first, first + count), begin);
    for (let i = 0; i < count; i++) packed.positions[begin + i] = first + i;
    packed.sequences.fill(s, begin, begin + count);
    packed.pages.set(sequence.pages.slice(0, width), s * width);
    for (const at of asked[s]!) rows.push(begin + at);
    begin += count;
  });
  return { ...packed, numSequences: shares.length, rows: Int32Array.from(rows) };
}
