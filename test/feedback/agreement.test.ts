import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { agreementOf, alphaInterval, alphaOrdinal, kappa, weightedKappa } from "../../lib/feedback/agreement.js";
import { type Paired, ranksOf, spearman } from "../../lib/feedback/statistics.js";

/** Two judges' ratings of the same answers: one digit an answer. */
const ratingsOf = (a: string, b: string): Paired[] => [...a].map((digit, i) => [Number(digit), Number(b[i])]);

describe("worked by hand: six answers, 1 2 3 4 5 3 and 1 2 4 4 3 3", () => {
  const ratings = ratingsOf("123453", "124433");

  test("exact: 4 of 6 are equal", () => expect(agreementOf(ratings).exact).toBeCloseTo(4 / 6, 12));

  test("kappa: by chance (1*1 + 1*1 + 2*2 + 1*2 + 1*0) / 36 = 8/36 are equal", () => {
    expect(kappa(ratings)).toBeCloseTo((4 / 6 - 8 / 36) / (1 - 8 / 36), 12); // 4/7
  });

  test("weighted kappa: the squares 1 and 4 against 102/36 by chance", () => {
    // Each of 1 2 3 4 5 3 against each of 1 2 4 4 3 3.
    const expected = [1, 2, 3, 4, 5, 3].flatMap((a) => [1, 2, 4, 4, 3, 3].map((b) => (a - b) ** 2));
    expect(expected.reduce((sum, square) => sum + square, 0)).toBe(102);
    expect(weightedKappa(ratings)).toBeCloseTo(1 - 5 / 6 / (102 / 36), 12); // 12/17
  });

  test("interval alpha: 12 values about 35/12, squares of the deviations 203/12", () => {
    // 1 1 2 2 3 3 3 3 4 4 4 5 add up to 35, their squares to 119; 119 - 35^2/12 = 203/12.
    // Observed 5/6, expected 2 * 203/12 / 11.
    expect(alphaInterval(ratings)).toBeCloseTo(1 - 5 / 6 / ((2 * 203) / 12 / 11), 12);
  });

  test("ordinal alpha: from 3 to 4 lie (4 + 3) / 2 values, from 3 to 5 lie 4/2 + 3 + 1/2", () => {
    const counts = [2, 2, 4, 3, 1]; // of 1, 2, 3, 4, 5
    let expected = 0;
    for (let c = 0; c < 5; c++) {
      for (let k = c + 1; k < 5; k++) {
        const between = counts.slice(c, k + 1).reduce((sum, count) => sum + count, 0) - (counts[c]! + counts[k]!) / 2;
        expected += 2 * counts[c]! * counts[k]! * between ** 2;
      }
    }
    const observed = 2 * (3.5 ** 2 + 5.5 ** 2);
    expect(alphaOrdinal(ratings)).toBeCloseTo(1 - observed / 12 / (expected / (12 * 11)), 12);
  });

  test("Spearman: ranks 1 2 3.5 5 6 3.5 and 1 2 5.5 5.5 3.5 3.5", () => {
    expect(ranksOf([1, 2, 3, 4, 5, 3])).toEqual([1, 2, 3.5, 5, 6, 3.5]);
    expect(ranksOf([1, 2, 4, 4, 3, 3])).toEqual([1, 2, 5.5, 5.5, 3.5, 3.5]);
    // Deviations from 3.5: products 6.25 + 2.25 + 0 + 3 + 0 + 0, squares 17 and 16.5.
    expect(spearman(ratings)).toBeCloseTo(11.5 / Math.sqrt(17 * 16.5), 12);
  });
});

test("Krippendorff's two observers of ten binary units: alpha is 1 - 19 * 4 / (14 * 6)", () => {
  const ratings = ratingsOf("0100000000", "1110010010");
  expect(alphaInterval(ratings)).toBeCloseTo(1 - (19 * 4) / (14 * 6), 12); // 0.095
  expect(alphaOrdinal(ratings)).toBeCloseTo(1 - (19 * 4) / (14 * 6), 12);
});

test.each([
  [
    ["5432211115453454433525412531445115131233", "5321121115553555444535513432545115241333"],
    [0.39730372720063434, 0.8981233243967829, 0.8917271483845528, 0.8988476312419975, 0.906416873239599],
  ],
  [
    ["1233214125", "1233224125"],
    [0.868421052631579, 0.967741935483871, 0.9449275362318841, 0.9693053311793215, 0.9515011557912562],
  ],
])("%j agree as numpy says by the formulas", ([a, b], [plain, weighted, ordinal, interval, ranks]) => {
  const found = agreementOf(ratingsOf(a!, b!));
  expect(found.kappa).toBeCloseTo(plain!, 12);
  expect(found.weightedKappa).toBeCloseTo(weighted!, 12);
  expect(found.alphaOrdinal).toBeCloseTo(ordinal!, 12);
  expect(found.alphaInterval).toBeCloseTo(interval!, 12);
  expect(found.spearman).toBeCloseTo(ranks!, 12);
});

const judged = fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })), {
  minLength: 2,
  maxLength: 40,
});

test("nobody disagrees with themselves, none agree better, and who is first does not matter", () => {
  fc.assert(
    fc.property(judged, (ratings) => {
      const [found, turned] = [agreementOf(ratings), agreementOf(ratings.map(([a, b]): Paired => [b, a]))];
      const itself = agreementOf(ratings.map(([a]): Paired => [a, a]));
      for (const key of ["kappa", "weightedKappa", "alphaOrdinal", "alphaInterval", "spearman"] as const) {
        if (found[key] !== null) expect(found[key]).toBeLessThanOrEqual(1 + 1e-12);
        if (found[key] === null) expect(turned[key]).toBeNull();
        else expect(turned[key]).toBeCloseTo(found[key], 10);
        if (itself[key] !== null) expect(itself[key]).toBeCloseTo(1, 10);
      }
    }),
    { numRuns: 500 },
  );
});

test("ratings that do not vary, or are none, have no chance to agree better than by chance", () => {
  const none = { kappa: null, weightedKappa: null, alphaOrdinal: null, alphaInterval: null, spearman: null };
  expect(agreementOf(ratingsOf("333", "333"))).toEqual({ count: 3, exact: 1, means: [3, 3], ...none });
  fc.assert(
    fc.property(fc.double({ min: 1, max: 10, noNaN: true }), fc.integer({ min: 1, max: 50 }), (rating, count) => {
      const found = agreementOf(Array.from({ length: count }, (): Paired => [rating, rating]));
      expect(found).toEqual({ count, exact: 1, means: [rating, rating], ...none });
    }),
  );
  expect(agreementOf([])).toEqual({ count: 0, exact: null, means: null, ...none });
});
