import { hasLabel, type TokenSequence } from "./encode.js";

export interface CutRows {
  readonly sequences: TokenSequence[];
  /** Pieces left out, because nothing to learn is in them. */
  readonly dropped: number;
}

/**
 * Lays all rows end to end and cuts every `length` tokens (`packing: wrapped`, as in the Zephyr paper's SFT). A piece is
 * one row from then on: attention reaches across the documents in it, and its first token is not predicted. What is left
 * at the end is dropped, which TRL 0.7 did and later TRL does not.
 */
export function wrapSequences(
  sequences: readonly TokenSequence[],
  length: number,
): CutRows & { readonly droppedTokens: number } {
  const pieces: TokenSequence[] = [];
  let ids = new Int32Array(length);
  let trainable = new Uint8Array(length);
  let filled = 0;
  let place = sequences[0]?.place;
  for (const sequence of sequences) {
    for (let from = 0; from < sequence.ids.length; ) {
      if (filled === 0) place = sequence.place;
      const count = Math.min(length - filled, sequence.ids.length - from);
      ids.set(sequence.ids.subarray(from, from + count), filled);
      trainable.set(sequence.trainable.subarray(from, from + count), filled);
      filled += count;
      from += count;
      if (filled < length) continue;
      pieces.push({ ids, trainable, place: place! });
      [ids, trainable, filled] = [new Int32Array(length), new Uint8Array(length), 0];
    }
  }
  return { ...withLabels(pieces), droppedTokens: filled };
}

/** Cuts every row longer than `length` into rows of at most `length` tokens (`packing_strategy: bfd_split`). */
export function splitSequences(sequences: readonly TokenSequence[], length: number): CutRows {
  const pieces = sequences.flatMap(({ ids, trainable, place }) => {
    if (ids.length <= length) return [{ ids, trainable, place }];
    return Array.from({ length: Math.ceil(ids.length / length) }, (_, i) => {
      const [begin, end] = [i * length, (i + 1) * length];
      return { ids: ids.slice(begin, end), trainable: trainable.slice(begin, end), place };
    });
  });
  return withLabels(pieces);
}

function withLabels(pieces: readonly TokenSequence[]): CutRows {
  const sequences = pieces.filter(hasLabel);
  return { sequences, dropped: pieces.length - sequences.length };
}
