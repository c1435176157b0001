import type { TokenPair, TokenSequence } from "./encode.js";

/**
 * Rows laid end to end, T tokens with N labels; nothing is padded or cropped. Key k is visible to query q when
 * `sequenceStart[q] <= k <= q < visibleUntil[k]`, see native/kernels/flash_attention.h.
 */
export interface PackedBatch {
  readonly tokens: Int32Array; // [T]
  readonly positions: Int32Array; // [T], restarts with every row; a rejected answer goes on from its prompt's end
  readonly sequenceStart: Int32Array; // [T], the first token of the row
  readonly visibleUntil: Int32Array; // [T]
  readonly rows: Int32Array; // [N], the token that predicts
  readonly labels: Int32Array; // [N], the token id it has to predict
  readonly sequences: Int32Array; // [N]; of pair p the chosen answer is sequence p, the rejected one P + p
  readonly numSequences: number; // rows, or 2 P
  readonly items: Int32Array; // the batch's rows, as indices into what was packed
}

export interface PackOptions {
  /** Tokens of a batch at the most; a longer row has a batch of its own. */
  readonly tokenBudget: number;
}

/** Packs documents: attention never crosses from one to another. */
export function packSequences(sequences: readonly TokenSequence[], { tokenBudget }: PackOptions): PackedBatch[] {
  const lengths = sequences.map(({ ids }) => ids.length);
  return fitInto(lengths, tokenBudget).map((items) => {
    const writer = new BatchWriter(items, lengths);
    items.forEach((item, s) => {
      const { ids, trainable } = sequences[item]!;
      const start = writer.at;
      writer.add(ids, { start, position: 0, visibleUntil: start + ids.length });
      for (let i = 1; i < ids.length; i++) if (trainable[i]) writer.label(start + i - 1, ids[i]!, s);
    });
    return writer.finish(items.length);
  });
}

/**
 * Packs preference pairs as [prompt | chosen | rejected]. The prompt is computed once and seen by both answers; the
 * chosen answer is seen by itself alone. The last prompt token predicts the first token of both.
 */
export function packPairs(pairs: readonly TokenPair[], { tokenBudget }: PackOptions): PackedBatch[] {
  const lengths = pairs.map(({ prompt, chosen, rejected }) => prompt.length + chosen.length + rejected.length);
  return fitInto(lengths, tokenBudget).map((items) => {
    const writer = new BatchWriter(items, lengths);
    items.forEach((item, p) => {
      const { prompt, chosen, rejected } = pairs[item]!;
      const start = writer.at;
      const end = start + lengths[item]!;
      writer.add(prompt, { start, position: 0, visibleUntil: end });
      [chosen, rejected].forEach((answer, side) => {
        const first = writer.at;
        writer.add(answer, { start, position: prompt.length, visibleUntil: first + answer.length });
        answer.forEach((id, i) => {
          writer.label(i === 0 ? start + prompt.length - 1 : first + i - 1, id, p + side * items.length);
        });
      });
    });
    return writer.finish(2 * items.length);
  });
}

/** Puts items into bins of `budget`, longest first, each into the fullest bin that it fits (best fit decreasing). */
function fitInto(lengths: readonly number[], budget: number): Int32Array[] {
  const order = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const bins: { free: number; items: number[] }[] = [];
  for (const item of order) {
    const length = lengths[item]!;
    let best: (typeof bins)[number] | undefined;
    for (const bin of bins) if (bin.free >= length && (best === undefined || bin.free < best.free)) best = bin;
    if (best === undefined) {
      best = { free: Math.max(budget, length), items: [] };
      bins.push(best);
    }
    best.free -= length;
    best.items.push(item);
  }
  return bins.map(({ items }) => Int32Array.from(items).sort());
}

/** Lays tokens end to end and keeps the labels, growing no array on the way. */
class BatchWriter {
  at = 0;
  private readonly tokens: Int32Array;
  private readonly positions: Int32Array;
  private readonly sequenceStart: Int32Array;
  private readonly visibleUntil: Int32Array;
  private readonly labels: [row: number, label: number, sequence: number][] = [];

  constructor(
    private readonly items: Int32Array,
    lengths: readonly number[],
  ) {
    const total = items.reduce((n, item) => n + lengths[item]!, 0);
    this.tokens = new Int32Array(total);
    this.positions = new Int32Array(total);
    this.sequenceStart = new Int32Array(total);
    this.visibleUntil = new Int32Array(total);
  }

  add(
    ids: Int32Array,
    { start, position, visibleUntil }: { start: number; position: number; visibleUntil: number },
  ): void {
    const end = this.at + ids.length;
    this.tokens.set(ids, this.at);
    this.sequenceStart.fill(start, this.at, end);
    this.visibleUntil.fill(visibleUntil, this.at, end);
    for (let i = 0; i < ids.length; i++) this.positions[this.at + i] = position + i;
    this.at = end;
  }

  label(row: number, label: number, sequence: number): void {
    this.labels.push([row, label, sequence]);
  }

  finish(numSequences: number): PackedBatch {
    const column = (index: 0 | 1 | 2) => Int32Array.from(this.labels, (entry) => entry[index]);
    return {
      tokens: this.tokens,
      positions: this.positions,
      sequenceStart: this.sequenceStart,
      visibleUntil: this.visibleUntil,
      rows: column(0),
      labels: column(1),
      sequences: column(2),
      numSequences,
      items: this.items,
    };
  }
}
