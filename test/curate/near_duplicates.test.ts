import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../../lib/base/random.js";
import { bandSizeFor, NearDuplicates } from "../../lib/curate/near_duplicates.js";
import { SKETCH_SIZE, Sketcher, similarityOf } from "../../lib/curate/sketch.js";
import { Words } from "../../lib/curate/words.js";

const sketchOf = (text: string, shingle = 1, seed = 0): Uint8Array => {
  const sketcher = new Sketcher(shingle, seed);
  sketcher.add(new Words().read(text));
  return sketcher.finish(0).slice();
};

/** Two texts whose sets of words have `common` words in common, and `own` each for itself. */
function twoTexts(common: number, own: number, first: number): [string, string] {
  const words = (from: number, count: number) => Array.from({ length: count }, (_, i) => `w${from + i}`);
  const [shared, a, b] = [words(first, common), words(first + 10_000, own), words(first + 20_000, own)];
  return [[...shared, ...a].join(" "), [...b, ...shared].join(" ")];
}

describe("a sketch's estimate of the Jaccard similarity", () => {
  test.each([
    [3, 1],
    [8, 2],
    [30, 10],
    [90, 10],
    [200, 100],
    [1900, 100],
  ])("of %i common words and %i own ones is right on average and about as sharp as 128 minima", (common, own) => {
    const exact = common / (common + 2 * own);
    const errors = Array.from({ length: 200 }, (_, i) => {
      const [a, b] = twoTexts(common, own, i * 100_000);
      return similarityOf(sketchOf(a, 1, i), sketchOf(b, 1, i)) - exact;
    });
    const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    const deviation = Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length);
    const minima = Math.sqrt((exact * (1 - exact)) / SKETCH_SIZE);
    expect(Math.abs(mean)).toBeLessThan(0.012);
    expect(deviation).toBeLessThan(1.15 * minima);
  });

  test("is 1 for the same shingles however often and in what order, and near 0 without common ones", () => {
    const words = fc.array(fc.constantFrom(..."abcdefghij"), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(words, (text) => {
        const again = [...text, ...text.toReversed()].join(" ");
        expect(similarityOf(sketchOf(text.join(" ")), sketchOf(again))).toBe(1);
        expect(
          similarityOf(sketchOf(text.join(" ")), sketchOf(text.map((word) => `${word}${word}`).join(" "))),
        ).toBeLessThan(0.05);
      }),
    );
  });

  test("depends on the seed, and the seed alone", () => {
    const [a, b] = twoTexts(30, 10, 0);
    expect(sketchOf(a, 1, 7)).toEqual(sketchOf(a, 1, 7));
    expect(similarityOf(sketchOf(a, 1, 7), sketchOf(a, 1, 8))).toBeLessThan(0.05);
    expect(sketchOf(b)).not.toEqual(sketchOf(a));
  });

  test("counts shingles, of a shorter text all its words", () => {
    expect(similarityOf(sketchOf("a b c d", 2), sketchOf("c d a b", 2))).toBeLessThan(0.7); // ab cd of ab bc cd da
    expect(similarityOf(sketchOf("a b", 5), sketchOf("A, b!", 5))).toBe(1);
    expect(similarityOf(sketchOf("a b", 5), sketchOf("a b c", 5))).toBeLessThan(0.05);
  });
});

/** Shingles of 3 words. */
const shinglesOf = (text: string): Set<string> => {
  const words = text.split(" ");
  return new Set(words.slice(2).map((_, i) => words.slice(i, i + 3).join(" ")));
};

function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const common = [...a].filter((each) => b.has(each)).length;
  return common / (a.size + b.size - common);
}

test.each([0.5, 0.8, 0.95])("rows at least %f similar are found among many, others are not", (threshold) => {
  const random = new Random(3);
  const near = new NearDuplicates(threshold);
  const kept: Set<string>[] = [];
  const word = () => `w${random.below(500)}`;
  let [similar, missed, wrong] = [0, 0, 0];
  let last = Array.from({ length: 80 }, word);
  for (let i = 0; i < 1500; i++) {
    const share = [0, 0.005, 0.02, 0.1, 1][random.below(5)]!;
    last = last.map((each) => (random.next() < share ? word() : each));
    const text = last.join(" ");
    const shingles = shinglesOf(text);
    const exact = Math.max(0, ...kept.map((other) => jaccard(other, shingles)));
    const sketch = sketchOf(text, 3);
    const found = near.find(sketch);
    if (exact >= threshold + 0.1 || exact === 1) {
      similar++;
      if (found === undefined) missed++;
    }
    if (found !== undefined) {
      if (jaccard(kept[found.row]!, shingles) < threshold - 0.12) wrong++;
      expect(Math.abs(found.similarity - jaccard(kept[found.row]!, shingles))).toBeLessThan(0.2);
    } else {
      near.add(sketch);
      kept.push(shingles);
    }
  }
  expect(similar).toBeGreaterThan(100);
  expect(missed / similar).toBeLessThan(0.01);
  expect(wrong).toBe(0);
});

test("more rows than fit into one piece of memory keep their numbers", () => {
  const near = new NearDuplicates(0.9);
  for (let i = 0; i < 20_000; i++) near.add(sketchOf(`a${i} b${i} c${i}`));
  for (const i of [0, 7, 16_383, 16_384, 19_999]) {
    expect(near.find(sketchOf(`c${i} a${i} b${i}`))).toEqual({ row: i, similarity: 1 });
  }
  expect(near.find(sketchOf("a1 b2 c3"))).toBeUndefined();
});

test("among many rows that share a frame a copy is found, and the time is linear", () => {
  const near = new NearDuplicates(0.95);
  const frame = Array.from({ length: 95 }, (_, i) => `f${i}`).join(" ");
  const row = (i: number) => sketchOf(`${frame} ${Array.from({ length: 5 }, (_, k) => `x${5 * i + k}`).join(" ")}`);
  for (let i = 0; i < 100; i++) near.add(row(i));
  expect(near.find(row(0))).toEqual({ row: 0, similarity: 1 });
  const start = performance.now();
  for (let i = 100; i < 12_000; i++) {
    near.find(row(i));
    near.add(row(i));
  }
  expect(performance.now() - start).toBeLessThan(10_000); // compared with all of a bucket it is more
});

test("bands are as large as finds 19 of 20 rows at the threshold", () => {
  for (const threshold of [0.1, 0.5, 0.8, 0.99]) {
    const recall = (size: number) => 1 - (1 - threshold ** size) ** Math.floor(SKETCH_SIZE / size);
    expect(recall(bandSizeFor(threshold))).toBeGreaterThanOrEqual(0.95);
    expect(recall(bandSizeFor(threshold) + 1)).toBeLessThan(0.95);
  }
  expect(bandSizeFor(1)).toBe(SKETCH_SIZE);
});
