import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError } from "../../lib/base/errors.js";
import { Random } from "../../lib/base/random.js";
import type { SamplingOptions } from "../../lib/generate/request.js";
import { Sampler } from "../../lib/generate/sampler.js";
import { adjustLogits, sampleTokens } from "../../lib/kernels/sample_tokens.js";
import { Arena } from "../../lib/tensor/arena.js";
import { Device } from "../../lib/tensor/device.js";
import { TEST_DEVICE } from "../test_device.js";

let device: Device;
beforeAll(() => {
  device = Device.open(TEST_DEVICE);
});
afterAll(() => device[Symbol.dispose]());

const P = [0.05, 0.5, 0.15, 0.3];
const logitsOf = (shares: readonly number[]) => Float32Array.from(shares, Math.log);
const samplerOf = (options: SamplingOptions, prompt: readonly number[] = [], seed = 3) =>
  new Sampler(options, Int32Array.from(prompt), new Random(seed));

/** The next token of each sampler by the same logits, which the device changes and draws by; then it is told. */
async function step(samplers: readonly Sampler[], row: Float32Array) {
  using arena = new Arena(device);
  const size = row.length;
  const all = new Float32Array(samplers.length * size);
  for (let r = 0; r < samplers.length; r++) all.set(row, r * size);
  const logits = arena.from<"R,V">(all, [samplers.length, size]);
  const changes = samplers.flatMap((sampler, r) => sampler.changes(r, size));
  if (changes.length > 0) adjustLogits(arena, logits, changes);
  const tokens = sampleTokens(
    arena,
    logits,
    samplers.map((sampler) => sampler.draw()),
  );
  const ids = await tokens.read();
  for (const [r, sampler] of samplers.entries()) sampler.note(ids[r]!);
  return { ids: Array.from(ids), logits: await logits.readFloats() };
}
const next = async (sampler: Sampler, logits = Float32Array.of(2, 1.5, -1, -1.1)) =>
  (await step([sampler], logits)).ids[0];

/** How often each token is drawn, when none is remembered. */
async function shares(options: SamplingOptions, logits = logitsOf(P)): Promise<number[]> {
  const random = new Random(3);
  const samplers = Array.from({ length: 4000 }, () => new Sampler(options, new Int32Array(), random));
  const counts = new Array<number>(logits.length).fill(0);
  for (const id of (await step(samplers, logits)).ids) counts[id]!++;
  return counts.map((n) => n / 4000);
}
const expectNear = (found: readonly number[], expected: readonly number[]) =>
  found.forEach((share, i) => {
    expect(Math.abs(share - expected[i]!)).toBeLessThan(0.03);
  });

describe("drawing", () => {
  test("from the model's own distribution by default", async () => expectNear(await shares({}), P));

  test("temperature sharpens, flattens, and at 0 takes the likeliest, of equals the first", async () => {
    const squares = P.map((p) => p ** 2);
    const total = squares.reduce((a, b) => a + b);
    expectNear(
      await shares({ temperature: 0.5 }),
      squares.map((p) => p / total),
    );
    expect(await shares({ temperature: 0 })).toEqual([0, 1, 0, 0]);
    expect(await next(samplerOf({ temperature: 0 }), Float32Array.of(1, 2, 2))).toBe(1);
  });

  test("top-k leaves the k likeliest", async () => expectNear(await shares({ topK: 2 }), [0, 0.625, 0, 0.375]));

  test("top-p leaves the fewest that hold the share", async () => {
    expectNear(await shares({ topP: 0.79 }), [0, 0.625, 0, 0.375]);
    expectNear(await shares({ topP: 0.81 }), [0, 0.526, 0.158, 0.316]);
    expect(await shares({ topP: 0.01 })).toEqual([0, 1, 0, 0]);
  });

  test("top-p is a share of what top-k leaves", async () =>
    expectNear(await shares({ topK: 3, topP: 0.82 }), [0, 0.625, 0, 0.375])); // 0.8 of 0.95, and of 1 too few

  test("min-p leaves those that are not far behind the likeliest", async () =>
    expectNear(await shares({ minP: 0.4 }), [0, 0.625, 0, 0.375]));

  test("the same tokens by the same seed", async () => {
    const draw = async (seed: number) => {
      const sampler = samplerOf({ topP: 0.9 }, [], seed);
      const tokens: unknown[] = [];
      for (let i = 0; i < 20; i++) tokens.push(await next(sampler, logitsOf(P)));
      return tokens;
    };
    expect(await draw(5)).toEqual(await draw(5));
    expect(await draw(5)).not.toEqual(await draw(6));
  });
});

describe("penalties", () => {
  const first = async (sampler: Sampler, count: number) => {
    const tokens: unknown[] = [];
    for (let i = 0; i < count; i++) tokens.push(await next(sampler));
    return tokens;
  };

  test("repetition: of the prompt's and the answer's tokens, away from 0 on either side", async () => {
    expect(await next(samplerOf({ temperature: 0, repetitionPenalty: 2 }, [0]))).toBe(1);
    expect(await first(samplerOf({ temperature: 0, repetitionPenalty: 2 }), 3)).toEqual([0, 1, 0]); // 1 and 0.75 then
    const sampler = samplerOf({ temperature: 0, repetitionPenalty: 2 }, [2, 2, 0]);
    const { logits } = await step([sampler], Float32Array.of(2, 1.5, -1, -1.1));
    expect([...logits]).toEqual([1, 1.5, -2, Math.fround(-1.1)]);
  });

  test("presence once, frequency as often as it was said, of the answer alone", async () => {
    expect(await first(samplerOf({ temperature: 0, presencePenalty: 0.6 }, [1]), 3)).toEqual([0, 1, 0]);
    expect(await first(samplerOf({ temperature: 0, frequencyPenalty: 0.6 }, [1]), 4)).toEqual([0, 1, 0, 1]);
    const both = samplerOf({ temperature: 0, frequencyPenalty: 0.5, presencePenalty: 0.25 });
    await next(both, Float32Array.of(1, 0));
    await next(both, Float32Array.of(9, 0));
    const { logits } = await step([both], Float32Array.of(0, 0));
    expect([...logits]).toEqual([-1.25, 0]);
  });

  test("biases, of ids that there are", async () => {
    const logitBias = new Map([
      [2, 5],
      [99, 7],
      [-1, 7],
    ]);
    expect(await next(samplerOf({ temperature: 0, logitBias }))).toBe(2);
  });

  test("all of them, of one token", async () => {
    const options = { temperature: 0, repetitionPenalty: 2, frequencyPenalty: 0.5, logitBias: new Map([[0, 3]]) };
    const sampler = samplerOf(options, [1]);
    await next(sampler, Float32Array.of(9, 0));
    const { logits } = await step([sampler], Float32Array.of(4, 1));
    expect([...logits]).toEqual([4.5, 0.5]); // 4 / 2 - 0.5 + 3 and 1 / 2
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
