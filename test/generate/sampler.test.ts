import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../lib/base/errors.js";
import { Random } from "../../lib/base/random.js";
import type { SamplingOptions } from "../../lib/generate/request.js";
import { likeliestOf, logSumExp, Sampler } from "../../lib/generate/sampler.js";

const P = [0.05, 0.5, 0.15, 0.3];
const logitsOf = (shares: readonly number[]) => Float32Array.from(shares, Math.log);
const samplerOf = (options: SamplingOptions, prompt: readonly number[] = [], seed = 3) =>
  new Sampler(options, Int32Array.from(prompt), new Random(seed));

/** How often each token is drawn, when none is remembered. */
function shares(options: SamplingOptions, logits = logitsOf(P)): number[] {
  const counts = new Array<number>(logits.length).fill(0);
  const random = new Random(3);
  for (let i = 0; i < 4000; i++) counts[new Sampler(options, new Int32Array(), random).next(logits.slice())]!++;
  return counts.map((n) => n / 4000);
}
const expectNear = (found: readonly number[], expected: readonly number[]) =>
  found.forEach((share, i) => {
    expect(Math.abs(share - expected[i]!)).toBeLessThan(0.03);
  });

describe("drawing", () => {
  test("from the model's own distribution by default", () => expectNear(shares({}), P));

  test("temperature sharpens, flattens, and at 0 takes the likeliest, of equals the first", () => {
    const squares = P.map((p) => p ** 2);
    const total = squares.reduce((a, b) => a + b);
    expectNear(
      shares({ temperature: 0.5 }),
      squares.map((p) => p / total),
    );
    expect(shares({ temperature: 0 })).toEqual([0, 1, 0, 0]);
    expect(samplerOf({ temperature: 0 }).next(Float32Array.of(1, 2, 2))).toBe(1);
  });

  test("top-k leaves the k likeliest", () => expectNear(shares({ topK: 2 }), [0, 0.625, 0, 0.375]));

  test("top-p leaves the fewest that hold the share", () => {
    expectNear(shares({ topP: 0.79 }), [0, 0.625, 0, 0.375]);
    expectNear(shares({ topP: 0.81 }), [0, 0.526, 0.158, 0.316]);
    expect(shares({ topP: 0.01 })).toEqual([0, 1, 0, 0]);
  });

  test("top-p is a share of what top-k leaves", () =>
    expectNear(shares({ topK: 3, topP: 0.82 }), [0, 0.625, 0, 0.375])); // 0.8 of 0.95, and of 1 too few

  test("min-p leaves those that are not far behind the likeliest", () =>
    expectNear(shares({ minP: 0.4 }), [0, 0.625, 0, 0.375]));

  test("all of them, where more than a few hundred are needed for the share", () => {
    const logits = new Float32Array(1500); // all alike
    const found = new Set<number>();
    const random = new Random(1);
    for (let i = 0; i < 1000; i++) {
      found.add(new Sampler({ topP: 0.5 }, new Int32Array(), random).next(logits.slice()));
    }
    expect(Math.max(...found)).toBeLessThan(750);
    expect(found.size).toBeGreaterThan(400);
  });

  test("the same tokens by the same seed", () => {
    const draw = (seed: number) => {
      const sampler = samplerOf({ topP: 0.9 }, [], seed);
      return Array.from({ length: 20 }, () => sampler.next(logitsOf(P)));
    };
    expect(draw(5)).toEqual(draw(5));
    expect(draw(5)).not.toEqual(draw(6));
  });
});

describe("penalties", () => {
  const next = (sampler: Sampler) => sampler.next(Float32Array.of(2, 1.5, -1, -1.1));

  test("repetition: of the prompt's and the answer's tokens, away from 0 on either side", () => {
    expect(next(samplerOf({ temperature: 0, repetitionPenalty: 2 }, [0]))).toBe(1);
    const sampler = samplerOf({ temperature: 0, repetitionPenalty: 2 });
    expect([next(sampler), next(sampler), next(sampler)]).toEqual([0, 1, 0]); // 1 and 0.75 then
    const logits = Float32Array.of(2, 1.5, -1, -1.1);
    samplerOf({ temperature: 0, repetitionPenalty: 2 }, [2, 2, 0]).next(logits);
    expect([...logits]).toEqual([1, 1.5, -2, Math.fround(-1.1)]);
  });

  test("presence once, frequency as often as it was said, of the answer alone", () => {
    const once = samplerOf({ temperature: 0, presencePenalty: 0.6 }, [1]);
    expect([next(once), next(once), next(once)]).toEqual([0, 1, 0]);
    const often = samplerOf({ temperature: 0, frequencyPenalty: 0.6 }, [1]);
    expect([next(often), next(often), next(often), next(often)]).toEqual([0, 1, 0, 1]);
    const logits = Float32Array.of(0, 0);
    const both = samplerOf({ temperature: 0, frequencyPenalty: 0.5, presencePenalty: 0.25 });
    both.next(Float32Array.of(1, 0));
    both.next(Float32Array.of(9, 0));
    both.next(logits);
    expect([...logits]).toEqual([-1.25, 0]);
  });

  test("biases, of ids that there are", () => {
    const logitBias = new Map([
      [2, 5],
      [99, 7],
    ]);
    expect(next(samplerOf({ temperature: 0, logitBias }))).toBe(2);
  });
});

test.each([
  [{ temperature: -1 }, "temperature: -1, expected a number from 0 up"],
  [{ temperature: Number.NaN }, "temperature: NaN"],
  [{ temperature: Number.POSITIVE_INFINITY }, "temperature: Infinity"],
  [{ topK: 1.5 }, "topK: 1.5, expected a whole number, 0 for no limit"],
  [{ topP: 0 }, "topP: 0, expected a number above 0 and at most 1"],
  [{ minP: 2 }, "minP: 2, expected a number from 0 to 1"],
  [{ repetitionPenalty: 0 }, "repetitionPenalty: 0, expected a number above 0"],
  [{ presencePenalty: Number.NaN }, "presencePenalty: NaN, expected a number"],
  [{ frequencyPenalty: Number.POSITIVE_INFINITY }, "frequencyPenalty: Infinity, expected a number"],
])("%j is refused", (options, message) => {
  expect(() => samplerOf(options)).toThrow(ConfigError);
  expect(() => samplerOf(options)).toThrow(message);
});

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
