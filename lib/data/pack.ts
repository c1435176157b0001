import { assert } from "../base/errors.js";
import { bestFitDecreasing } from "./bins.js";
import type { TokenPair, TokenSequence } from "./encode.js";

/**
 * Rows laid end to end: T tokens, N labels, S sequences. Key k is visible to query q where
 * `sequenceStart[q] <= k <= q < visibleUntil[k]`.
 */
export interface PackedBatch {
  /** [T] */
  readonly tokens: Int32Array;
  /** [T] Rotary position: begins at 0 in every row; a rejected answer goes on from the end of its prompt. */
  readonly positions: Int32Array;
  /** [T] Index of the first token of the row the token belongs to. */
  readonly sequenceStart: Int32Array;
  /** [T] Index after the last token that may see this one. */
  readonly visibleUntil: Int32Array;
  /** [N] Index of the token that predicts. */
  readonly rows: Int32Array;
  /** [N] The token id it has to predict. */
  readonly labels: Int32Array;
  /** [N] The sequence the label belongs to, never falling. Row r is sequence r; of P pairs, p has p chosen, P + p rejected. */
  readonly sequences: Int32Array;
  /** S: rows, or two for each pair. */
  readonly numSequences: number;
  /** [rows or pairs here] Where each was in what was packed. */
  readonly items: Int32Array;
}

export interface PackOptions {
  /** Most tokens of a batch. A row that is longer makes a batch of its own. */
  readonly tokenBudget: number;
  /** Most labels of a batch, of which the same is true; default: any number. */
  readonly labelBudget?: number;
}

/** Packs whole rows, none cropped, by best fit decreasing. Attention does not reach from one row into another. */
export function packSequences(sequences: readonly TokenSequence[], options: PackOptions): PackedBatch[] {
  const sizes = sequences.map(({ ids, trainable }) => ({ tokens: ids.length, labels: countLabels(trainable) }));
  return binsOf(sizes, options).map((items) => laySequences(sequences, items));
}

/** Packs pairs as [prompt | chosen | rejected]: both answers see the prompt, which is there once, and not each other. */
export function packPairs(pairs: readonly TokenPair[], options: PackOptions): PackedBatch[] {
  const sizes = pairs.map(({ prompt, chosen, rejected }) => {
    const labels = chosen.length + rejected.length;
    return { tokens: prompt.length + labels, labels };
  });
  return binsOf(sizes, options).map((items) => layPairs(pairs, items));
}

/** Neither budget is passed when the larger of the two shares that each row takes add up to at most 1. */
function binsOf(
  sizes: readonly { readonly tokens: number; readonly labels: number }[],
  { tokenBudget, labelBudget = Number.POSITIVE_INFINITY }: PackOptions,
): number[][] {
  const shares = sizes.map(({ tokens, labels }) => Math.max(tokens, Math.ceil((labels * tokenBudget) / labelBudget)));
  return bestFitDecreasing(shares, tokenBudget);
}

/** Nothing comes before a row's first token that could predict it. */
function countLabels(trainable: Uint8Array): number {
  let count = 0;
  for (let i = 1; i < trainable.length; i++) count += trainable[i]!;
  return count;
}

function laySequences(sequences: readonly TokenSequence[], items: readonly number[]): PackedBatch {
  const rows = items.map((item) => sequences[item]!);
  const batch = new Layout(
    rows.reduce((sum, { ids }) => sum + ids.length, 0),
    rows.reduce((sum, { trainable }) => sum + countLabels(trainable), 0),
  );
  rows.forEach(({ ids, trainable }, r) => {
    const start = batch.size;
    batch.lay(ids, { position: 0, start, end: start + ids.length });
    for (let i = 1; i < ids.length; i++) if (trainable[i] === 1) batch.label(start + i - 1, ids[i]!, r);
  });
  return batch.finish(items, rows.length);
}

function layPairs(all: readonly TokenPair[], items: readonly number[]): PackedBatch {
  const pairs = items.map((item) => all[item]!);
  let [size, numLabels] = [0, 0];
  for (const { prompt, chosen, rejected } of pairs) {
    assert(prompt.length > 0, "a pair's prompt has a token that predicts the first of each answer");
    numLabels += chosen.length + rejected.length;
    size += prompt.length;
  }
  const batch = new Layout(size + numLabels, numLabels);
  const starts = pairs.map(({ prompt, chosen, rejected }) => {
    const start = batch.size;
    const chosenAt = start + prompt.length;
    const rejectedAt = chosenAt + chosen.length;
    const end = rejectedAt + rejected.length;
    batch.lay(prompt, { position: 0, start, end });
    batch.lay(chosen, { position: prompt.length, start, end: rejectedAt });
    batch.lay(rejected, { position: prompt.length, start, end });
    return { chosenAt, rejectedAt };
  });
  pairs.forEach(({ chosen }, p) => {
    const { chosenAt } = starts[p]!;
    chosen.forEach((id, i) => {
      batch.label(chosenAt + i - 1, id, p);
    });
  });
  pairs.forEach(({ rejected }, p) => {
    const { chosenAt, rejectedAt } = starts[p]!;
    // The prompt's last token predicts the first of either answer.
    rejected.forEach((id, i) => {
      batch.label(i === 0 ? chosenAt - 1 : rejectedAt + i - 1, id, pairs.length + p);
    });
  });
  return batch.finish(items, 2 * pairs.length);
}

/** A batch while it is filled. */
class Layout {
  size = 0;
  private numLabels = 0;
  private readonly tokens: Int32Array;
  private readonly positions: Int32Array;
  private readonly sequenceStart: Int32Array;
  private readonly visibleUntil: Int32Array;
  private readonly rows: Int32Array;
  private readonly labels: Int32Array;
  private readonly sequences: Int32Array;

  constructor(numTokens: number, numLabels: number) {
    [this.tokens, this.positions] = [new Int32Array(numTokens), new Int32Array(numTokens)];
    [this.sequenceStart, this.visibleUntil] = [new Int32Array(numTokens), new Int32Array(numTokens)];
    [this.rows, this.labels] = [new Int32Array(numLabels), new Int32Array(numLabels)];
    this.sequences = new Int32Array(numLabels);
  }

  lay(ids: Int32Array, at: { readonly position: number; readonly start: number; readonly end: number }): void {
    this.tokens.set(ids, this.size);
    for (let i = 0; i < ids.length; i++) this.positions[this.size + i] = at.position + i;
    this.sequenceStart.fill(at.start, this.size, this.size + ids.length);
    this.visibleUntil.fill(at.end, this.size, this.size + ids.length);
    this.size += ids.length;
  }

  label(row: number, label: number, sequence: number): void {
    const n = this.numLabels++;
    this.rows[n] = row;
    this.labels[n] = label;
    this.sequences[n] = sequence;
  }

  finish(items: readonly number[], numSequences: number): PackedBatch {
    const { tokens, positions, sequenceStart, visibleUntil, rows, labels, sequences } = this;
    const laid = { tokens, positions, sequenceStart, visibleUntil, rows, labels, sequences };
    return { ...laid, numSequences, items: Int32Array.from(items) };
  }
}
