import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { splitSequences, wrapSequences } from "../../lib/data/cut.js";
import type { TokenSequence } from "../../lib/data/encode.js";
import { type Rows, sliceRows } from "../../lib/data/rows.js";

const row = (ids: number[], trainable: number[] = ids.map(() => 1), index = 0): TokenSequence => ({
  ids: Int32Array.from(ids),
  trainable: Uint8Array.from(trainable),
  place: { source: "rows.jsonl", index },
});
const rows = [row([1, 2, 3]), row([4, 5], [0, 1], 1), row([6, 7, 8, 9], undefined, 2)];
const idsOf = (pieces: Rows<TokenSequence>) => sliceRows(pieces).map(({ ids }) => [...ids]);
const labelsOf = (pieces: Rows<TokenSequence>) => sliceRows(pieces).map(({ trainable }) => [...trainable]);

describe("wrapped", () => {
  test("one stream, cut every 4 tokens, the rest dropped", () => {
    const { sequences, ...rest } = wrapSequences(rows, 4);
    expect(idsOf(sequences)).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ]);
    expect(labelsOf(sequences)).toEqual([
      [1, 1, 1, 0],
      [1, 1, 1, 1],
    ]);
    expect(sliceRows(sequences).map(({ place }) => place.index)).toEqual([0, 1]);
    expect(rest).toEqual({ longest: 4, dropped: 0, numTokens: 9, droppedTokens: 1 });
  });

  test("no rows", () => {
    const { sequences, ...rest } = wrapSequences([], 4);
    expect(sequences).toHaveLength(0);
    expect(rest).toEqual({ longest: 0, dropped: 0, numTokens: 0, droppedTokens: 0 });
  });
});

describe("split", () => {
  test("each row in pieces", () => {
    const { sequences, ...rest } = splitSequences(rows, 2);
    expect(idsOf(sequences)).toEqual([
      [1, 2],
      [4, 5],
      [6, 7],
      [8, 9],
    ]);
    expect(sliceRows(sequences).map(({ place }) => place.index)).toEqual([0, 1, 2, 2]);
    expect(rest).toEqual({ longest: 2, dropped: 1, numTokens: 9, droppedTokens: 0 }); // 3, which nothing is left to predict
  });

  test("the longest piece is a short row where all are", () => {
    expect(splitSequences(rows, 100)).toMatchObject({ longest: 4, dropped: 0 });
  });
});

test("pieces with nothing to learn are dropped and counted", () => {
  const prompt = [row([1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1])];
  for (const { sequences, dropped } of [splitSequences(prompt, 3), wrapSequences(prompt, 3)]) {
    expect(idsOf(sequences)).toEqual([[4, 5, 6]]);
    expect(dropped).toBe(1);
  }
  expect(splitSequences(prompt, 1)).toMatchObject({ sequences: { length: 0 }, dropped: 6 });
});

describe("any rows, cut anywhere and read in any order", () => {
  const lengths = fc.array(fc.nat(9), { maxLength: 12 });
  const some = fc.tuple(lengths, fc.integer({ min: 2, max: 7 })).map(([sizes, length]) => {
    let next = 0;
    return {
      length,
      rows: sizes.map((size, i) =>
        row(
          Array.from({ length: size }, () => next++),
          undefined,
          i,
        ),
      ),
    };
  });

  test("wrapped pieces are the stream's", () => {
    fc.assert(
      fc.property(some, ({ rows, length }) => {
        const { sequences, numTokens } = wrapSequences(rows, length);
        for (let i = sequences.length - 1; i >= 0; i--) {
          expect([...sequences.at(i)!.ids]).toEqual(Array.from({ length }, (_, at) => i * length + at));
        }
        expect(sequences.length).toBe(Math.floor(numTokens / length));
        expect(sequences.at(sequences.length)).toBeUndefined();
      }),
    );
  });

  test("split pieces are their rows'", () => {
    fc.assert(
      fc.property(some, ({ rows, length }) => {
        const { sequences, dropped } = splitSequences(rows, length);
        const pieces = rows.flatMap(({ ids, place }) =>
          Array.from({ length: Math.ceil(ids.length / length) }, (_, i) => ({
            ids: [...ids.slice(i * length, (i + 1) * length)],
            place,
          })),
        );
        const kept = pieces.filter(({ ids }) => ids.length > 1);
        const read = sliceRows(sequences).map(({ ids, place }) => ({ ids: [...ids], place }));
        expect(read).toEqual(kept);
        expect(dropped).toBe(pieces.length - kept.length);
      }),
    );
  });
});

test("only the rows of the piece at hand are read", () => {
  const many = Array.from({ length: 100 }, (_, i) => row([i, i, i], undefined, i));
  const read: number[] = [];
  const counted: Rows<TokenSequence> = {
    length: many.length,
    at(index) {
      read.push(index);
      return many[index];
    },
  };
  const { sequences } = wrapSequences(counted, 6);
  read.length = 0;
  expect([...sequences.at(20)!.ids]).toEqual([40, 40, 40, 41, 41, 41]);
  expect(read).toEqual([40, 41]);
});
