import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bestFitDecreasing } from "../../lib/data/bins.js";
import type { TokenPair, TokenSequence } from "../../lib/data/encode.js";
import { type PackedBatch, packPairs, packSequences } from "../../lib/data/pack.js";

const place = { source: "rows.jsonl", index: 0 };
const row = (ids: number[], trainable: number[] = ids.map(() => 1)): TokenSequence => ({
  ids: Int32Array.from(ids),
  trainable: Uint8Array.from(trainable),
  place,
});
const pair = (prompt: number[], chosen: number[], rejected: number[]): TokenPair => ({
  prompt: Int32Array.from(prompt),
  chosen: Int32Array.from(chosen),
  rejected: Int32Array.from(rejected),
  place,
});
const plain = (batch: PackedBatch) =>
  Object.fromEntries(
    Object.entries(batch).map(([key, value]) => [key, typeof value === "number" ? value : [...value]]),
  );

describe("rows", () => {
  test("end to end, each seeing itself only", () => {
    const rows = [row([5, 6, 7]), row([8, 9], [0, 1]), row([1, 2, 3, 4], [0, 0, 1, 1])];
    expect(packSequences(rows, { tokenBudget: 100 }).map(plain)).toEqual([
      {
        tokens: [5, 6, 7, 8, 9, 1, 2, 3, 4],
        positions: [0, 1, 2, 0, 1, 0, 1, 2, 3],
        sequenceStart: [0, 0, 0, 3, 3, 5, 5, 5, 5],
        visibleUntil: [3, 3, 3, 5, 5, 9, 9, 9, 9],
        rows: [0, 1, 3, 6, 7],
        labels: [6, 7, 9, 3, 4],
        sequences: [0, 0, 1, 2, 2],
        numSequences: 3,
        items: [0, 1, 2],
      },
    ]);
  });

  test("the longest first, each into the fullest batch with room", () => {
    const rows = [1, 4, 2, 3, 9, 2].map((length, i) => row(new Array(length).fill(i)));
    const batches = packSequences(rows, { tokenBudget: 6 });
    expect(batches.map(({ items }) => [...items])).toEqual([[4], [1, 2], [0, 3, 5]]);
    expect(batches.map(({ tokens }) => tokens.length)).toEqual([9, 6, 6]);
  });

  test("a row of one token has nothing to predict", () => {
    expect(plain(packSequences([row([7])], { tokenBudget: 1 })[0]!)).toMatchObject({
      rows: [],
      labels: [],
      numSequences: 1,
    });
    expect(packSequences([], { tokenBudget: 1 })).toEqual([]);
  });
});

test("pairs share their prompt, whose last token predicts the first of both answers", () => {
  const pairs = [pair([5, 6], [7, 8], [9]), pair([1], [2], [3, 4])];
  expect(packPairs(pairs, { tokenBudget: 100 }).map(plain)).toEqual([
    {
      tokens: [5, 6, 7, 8, 9, 1, 2, 3, 4],
      positions: [0, 1, 2, 3, 2, 0, 1, 1, 2],
      sequenceStart: [0, 0, 0, 0, 0, 5, 5, 5, 5],
      visibleUntil: [5, 5, 4, 4, 5, 9, 7, 9, 9],
      rows: [1, 2, 5, 1, 5, 7],
      labels: [7, 8, 2, 9, 3, 4],
      sequences: [0, 0, 1, 2, 3, 3],
      numSequences: 4,
      items: [0, 1],
    },
  ]);
});

test("pairs are packed to the budget by their whole length", () => {
  const pairs = [pair([1], [1], [1]), pair([1, 1], [1, 1], [1]), pair([1], [1], [1])];
  expect(packPairs(pairs, { tokenBudget: 6 }).map(({ items }) => [...items])).toEqual([[1], [0, 2]]);
});

const ids = (minLength: number) => fc.array(fc.nat(50), { minLength, maxLength: 9 });
const anyRow = ids(1).chain((tokens) =>
  fc
    .array(fc.constantFrom(0, 1), { minLength: tokens.length, maxLength: tokens.length })
    .map((mask) => row(tokens, mask)),
);
const anyPair = fc.tuple(ids(1), ids(1), ids(1)).map(([a, b, c]) => pair(a, b, c));

/** What a label sees, as the tokens up to it in their own row: the definition that packing must keep. */
function contexts(batch: PackedBatch): { sequence: number; context: number[]; positions: number[]; label: number }[] {
  return Array.from(batch.rows, (q, n) => {
    const keys = Array.from(batch.tokens.keys()).filter(
      (k) => batch.sequenceStart[q]! <= k && k <= q && q < batch.visibleUntil[k]!,
    );
    return {
      sequence: batch.sequences[n]!,
      context: keys.map((k) => batch.tokens[k]!),
      positions: keys.map((k) => batch.positions[k]!),
      label: batch.labels[n]!,
    };
  });
}

const expectedOf = (tokens: number[], trainable: (i: number) => boolean) =>
  tokens.flatMap((label, i) =>
    i > 0 && trainable(i)
      ? [{ context: tokens.slice(0, i), positions: tokens.slice(0, i).map((_, k) => k), label }]
      : [],
  );

const anyBudget = (max: number) => fc.integer({ min: 1, max });

test("every label of every row is there once, and sees just what is before it in its row", () => {
  fc.assert(
    fc.property(fc.array(anyRow, { maxLength: 12 }), anyBudget(30), anyBudget(20), (rows, tokenBudget, labelBudget) => {
      const batches = packSequences(rows, { tokenBudget, labelBudget });
      expect(batches.flatMap(({ items }) => [...items]).sort((a, b) => a - b)).toEqual(rows.map((_, i) => i));
      for (const batch of batches) {
        expect(batch.tokens.length <= tokenBudget || batch.items.length === 1).toBe(true);
        expect(batch.labels.length <= labelBudget || batch.items.length === 1).toBe(true);
        const found = contexts(batch);
        expect(found.map(({ sequence }) => sequence)).toEqual([...batch.sequences].sort((a, b) => a - b));
        batch.items.forEach((item, r) => {
          const { ids: tokens, trainable } = rows[item]!;
          const own = found.filter(({ sequence }) => sequence === r).map(({ sequence: _, ...rest }) => rest);
          expect(own).toEqual(expectedOf([...tokens], (i) => trainable[i] === 1));
        });
      }
    }),
  );
});

test("every answer's label is there once, and sees its prompt and what is before it in its answer", () => {
  fc.assert(
    fc.property(
      fc.array(anyPair, { maxLength: 8 }),
      anyBudget(50),
      anyBudget(30),
      (pairs, tokenBudget, labelBudget) => {
        const batches = packPairs(pairs, { tokenBudget, labelBudget });
        expect(batches.flatMap(({ items }) => [...items]).sort((a, b) => a - b)).toEqual(pairs.map((_, i) => i));
        for (const batch of batches) {
          expect(batch.tokens.length <= tokenBudget || batch.items.length === 1).toBe(true);
          expect(batch.labels.length <= labelBudget || batch.items.length === 1).toBe(true);
          const found = contexts(batch);
          expect([...batch.sequences]).toEqual([...batch.sequences].sort((a, b) => a - b));
          batch.items.forEach((item, p) => {
            const { prompt, chosen, rejected } = pairs[item]!;
            for (const [sequence, answer] of [
              [p, chosen],
              [batch.items.length + p, rejected],
            ] as const) {
              const own = found.filter((each) => each.sequence === sequence).map(({ sequence: _, ...rest }) => rest);
              expect(own).toEqual(expectedOf([...prompt, ...answer], (i) => i >= prompt.length));
            }
          });
        }
      },
    ),
  );
});

test("best fit decreasing against trying every bin", () => {
  const slow = (sizes: number[], capacity: number): number[][] => {
    const bins: number[][] = [];
    const room = (bin: number[]) => capacity - bin.reduce((sum, i) => sum + sizes[i]!, 0);
    for (const item of sizes.map((_, i) => i).sort((a, b) => sizes[b]! - sizes[a]! || a - b)) {
      const fitting = bins.filter((bin) => room(bin) >= sizes[item]! && room(bin) > 0);
      const best = fitting.sort((a, b) => room(a) - room(b) || bins.indexOf(a) - bins.indexOf(b))[0];
      if (best === undefined) bins.push([item]);
      else best.push(item);
    }
    return bins.map((bin) => bin.sort((a, b) => a - b));
  };
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 25 }),
      fc.integer({ min: 1, max: 15 }),
      (sizes, capacity) => {
        expect(bestFitDecreasing(sizes, capacity)).toEqual(slow(sizes, capacity));
      },
    ),
  );
});

test("100,000 rows pack in a moment", () => {
  const sizes = Array.from({ length: 100_000 }, (_, i) => 1 + ((i * 7919) % 1000));
  const begin = performance.now();
  const bins = bestFitDecreasing(sizes, 2048);
  expect(performance.now() - begin).toBeLessThan(5_000);
  expect(bins.flat()).toHaveLength(100_000);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  expect(bins.length).toBeLessThan((1.01 * total) / 2048 + 1);
});
