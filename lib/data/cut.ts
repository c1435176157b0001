import { hasLabel, type TokenSequence } from "./encode.js";
import { eachRow, type Rows } from "./rows.js";

export interface CutRows {
  readonly sequences: Rows<TokenSequence>;
  /** Tokens of the longest. */
  readonly longest: number;
  /** Pieces left out, because nothing to learn is in them. */
  readonly dropped: number;
  /** Tokens there were. */
  readonly numTokens: number;
  /** Tokens at the end that were too few for a piece. */
  readonly droppedTokens: number;
}

/**
 * Lays all rows end to end and cuts every `length` tokens (`packing: wrapped`, as in the Zephyr paper's SFT). A piece is
 * one row from then on: attention reaches across the documents in it, and its first token is not predicted. What is left
 * at the end is dropped, which TRL 0.7 did and later TRL does not.
 */
export function wrapSequences(rows: Rows<TokenSequence>, length: number): CutRows {
  const stream = new TokenStream(rows);
  const count = Math.floor(stream.end / length);
  const begins = Array.from({ length: count }, (_, piece) => piece * length);
  return { ...cutAt(stream, begins, () => length), droppedTokens: stream.end - count * length };
}

/** Cuts every row longer than `length` into rows of at most `length` tokens (`packing_strategy: bfd_split`). */
export function splitSequences(rows: Rows<TokenSequence>, length: number): CutRows {
  const stream = new TokenStream(rows);
  const begins: number[] = [];
  for (let row = 0; row < rows.length; row++) {
    for (let begin = stream.beginOf(row); begin < stream.beginOf(row + 1); begin += length) begins.push(begin);
  }
  const sizeOf = (begin: number): number => Math.min(length, stream.beginOf(stream.rowAt(begin) + 1) - begin);
  return { ...cutAt(stream, begins, sizeOf), droppedTokens: 0 };
}

/** The pieces that begin there and have something to learn, read when they are asked for. */
function cutAt(
  stream: TokenStream,
  begins: readonly number[],
  sizeOf: (begin: number) => number,
): Omit<CutRows, "droppedTokens"> {
  const piece = (begin: number): TokenSequence => stream.read(begin, sizeOf(begin));
  const kept = begins.filter((begin) => hasLabel(piece(begin)));
  const at = (index: number): TokenSequence | undefined =>
    index >= 0 && index < kept.length ? piece(kept[index]!) : undefined;
  const longest = kept.reduce((most, begin) => Math.max(most, sizeOf(begin)), 0);
  const dropped = begins.length - kept.length;
  return { sequences: { length: kept.length, at }, longest, dropped, numTokens: stream.end };
}

/** All tokens of some rows, end to end. */
class TokenStream {
  private readonly begins: Float64Array; // [rows + 1]
  private last: { readonly index: number; readonly row: TokenSequence } | undefined;

  constructor(private readonly rows: Rows<TokenSequence>) {
    this.begins = new Float64Array(rows.length + 1);
    let index = 0;
    for (const { ids } of eachRow(rows)) this.begins[++index] = this.begins[index - 1]! + ids.length;
  }

  get end(): number {
    return this.begins.at(-1)!;
  }

  beginOf(row: number): number {
    return this.begins[row]!;
  }

  /** The row that a token of the stream is in. */
  rowAt(token: number): number {
    let [low, high] = [0, this.rows.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.begins[middle]! <= token) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Tokens [begin, begin + length), which are said to be where the first of them is. */
  read(begin: number, length: number): TokenSequence {
    const [ids, trainable] = [new Int32Array(length), new Uint8Array(length)];
    const first = this.rowAt(begin);
    const { place } = this.row(first);
    for (let index = first, filled = 0; filled < length; index++) {
      const row = this.row(index);
      const from = begin + filled - this.begins[index]!;
      const count = Math.min(length - filled, row.ids.length - from);
      ids.set(row.ids.subarray(from, from + count), filled);
      trainable.set(row.trainable.subarray(from, from + count), filled);
      filled += count;
    }
    return { ids, trainable, place };
  }

  /** A row of which several pieces are read one after the other is itself read once. */
  private row(index: number): TokenSequence {
    if (this.last?.index !== index) this.last = { index, row: this.rows.at(index)! };
    return this.last.row;
  }
}
