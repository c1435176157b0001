import fc from "fast-check";
import { expect, test } from "vitest";
import { Distribution } from "../../lib/curate/distribution.js";

const summaryOf = (values: readonly number[]) => {
  const distribution = new Distribution();
  for (const value of values) distribution.add(value);
  return distribution.summary();
};

test("quantiles are those of the numbers in order, bins hold all of them", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5000), { minLength: 1, maxLength: 100 }), (values) => {
      const inOrder = values.toSorted((a, b) => a - b);
      const summary = summaryOf(values);
      const rank = (share: number) => inOrder[Math.max(1, Math.ceil(share * values.length)) - 1];
      expect(summary).toMatchObject({
        ...{ count: values.length, min: inOrder[0], max: inOrder.at(-1), p5: rank(0.05), p25: rank(0.25) },
        ...{ median: rank(0.5), p75: rank(0.75), p95: rank(0.95), p99: rank(0.99) },
      });
      let above = -1;
      for (const { upTo, count } of summary.bins) {
        expect(count).toBe(values.filter((value) => value > above && value <= upTo).length);
        above = upTo;
      }
      expect(summary.bins.reduce((sum, { count }) => sum + count, 0)).toBe(values.length);
    }),
  );
});

test("bins of few and of large numbers", () => {
  expect(summaryOf([2, 2, 4]).bins).toEqual([2, 3, 4].map((upTo) => ({ upTo, count: [2, 0, 1][upTo - 2] })));
  expect(summaryOf([0, 3, 5, 100]).bins.map(({ upTo }) => upTo)).toEqual([0, 1, 2, 4, 8, 16, 32, 64, 128]);
  expect(summaryOf([])).toMatchObject({ count: 0, mean: 0, median: 0, bins: [{ upTo: 0, count: 0 }] });
});
