import fc from "fast-check";
import { expect, test } from "vitest";
import { likeliestOf, logSumExp } from "../../lib/generate/scores.js";

test("the likeliest are those that sorting finds", () => {
  const number = fc.oneof(fc.integer({ min: -5, max: 5 }), fc.float({ noNaN: true }));
  const some = fc.array(number, { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(some, fc.nat(70), (values, count) => {
      const order = values.map((_, i) => i).sort((a, b) => values[b]! - values[a]! || a - b);
      expect(likeliestOf(Float32Array.from(values), count)).toEqual(order.slice(0, count));
      const many = Float32Array.from({ length: 600 }, (_, i) => values[i] ?? Number.NEGATIVE_INFINITY);
      expect(likeliestOf(many, 600).filter((id) => many[id]! > Number.NEGATIVE_INFINITY)).toEqual(
        order.filter((id) => many[id]! > Number.NEGATIVE_INFINITY),
      );
    }),
  );
});

test("the logarithm of a sum of exponentials that overflow", () => {
  expect(logSumExp(Float32Array.of(1000, 1000))).toBeCloseTo(1000 + Math.LN2, 10);
});
