import { describe, expect, test } from "vitest";

import { cachedAttention, kvCacheWrite } from "../reference/cached_attention.js";
import { flashAttentionForward } from "../reference/flash_attention.js";
import { conformance, expectClose } from "./conformance.js";
import { backends, launch } from "./launch.js";

// One slot, a cache written in another order than the tokens', more tokens than a task takes.
conformance("kv_cache_write", {
  reference: kvCacheWrite,
  axes: [
    { T: 1, N: 1, M: 3, K: 1, D: 1 },
    { T: 7, N: 11, M: 8, K: 2, D: 20 },
    { T: 40, N: 64, M: 6, K: 1, D: 16 },
  ],
  inputs: { slots: ({ T, N }) => Array.from({ length: T }, (_, t) => N - 1 - t) },
});

const cases = [
  { B: 1, M: 3, H: 1, K: 1, N: 1, D: 1 },
  { B: 3, M: 8, H: 4, K: 2, N: 70, D: 8 },
  { B: 2, M: 6, H: 4, K: 1, N: 150, D: 20 },
  { B: 3, M: 12, H: 4, K: 4, N: 300, D: 64 },
  { B: 1, M: 3, H: 1, K: 1, N: 33, D: 256 },
];
/** Sequence b has N / B slots, of which all but b are taken. */
const sequences = {
  begins: ({ B, N }: { B: number; N: number }) => Array.from({ length: B }, (_, b) => b * Math.floor(N / B)),
  lengths: ({ B, N }: { B: number; N: number }) => Array.from({ length: B }, (_, b) => Math.floor(N / B) - b),
};
for (const window of [0, 3, 1000]) {
  describe(`window ${window}`, () => {
    conformance("cached_attention", {
      reference: cachedAttention,
      axes: cases,
      inputs: sequences,
      scalars: { scale: 0.7, window },
    });
  });
}

describe.each(backends)("$name", (backend) => {
  const dtypes = { t: "f32" } as const;

  test("the last token over a cache is the last row of attention over all", async () => {
    const axes = { T: 29, M: 6, H: 4, K: 1, D: 16, N: 40, B: 1 };
    const qkv = Float64Array.from({ length: axes.T * axes.M * axes.D }, (_, i) => Math.fround(Math.sin(1.3 * i)));
    const mask = {
      positions: Float64Array.from({ length: axes.T }, (_, t) => t),
      sequence_start: new Float64Array(axes.T),
      visible_until: new Float64Array(axes.T).fill(axes.T),
    };
    const expected = flashAttentionForward({ qkv, ...mask }, axes, { scale: 0.3, window: 0 }).y;

    const empty = new Float64Array(axes.N * axes.K * axes.D).fill(Number.NaN); // a slot nobody wrote is never read
    const slots = Float64Array.from({ length: axes.T }, (_, t) => t + 5);
    const values = { qkv, slots, k_cache: empty, v_cache: empty };
    const cache = await launch(backend, 2, "kv_cache_write", { axes, dtypes, scalars: {}, values });
    const { y } = await launch(backend, 2, "cached_attention", {
      axes,
      dtypes,
      scalars: { scale: 0.3, window: 0 },
      values: {
        qkv: qkv.slice((axes.T - 1) * axes.M * axes.D),
        k_cache: cache.k_cache!.values,
        v_cache: cache.v_cache!.values,
        begins: Float64Array.of(5),
        lengths: Float64Array.of(axes.T),
      },
    });
    expectClose("y", y!.values, expected.slice((axes.T - 1) * axes.H * axes.D));
  });

  test("scores of 1e4", async () => {
    const axes = { B: 1, M: 3, H: 1, K: 1, N: 3, D: 2 };
    const values = {
      qkv: Float64Array.of(-100, 0, 0, 0, 0, 0),
      k_cache: Float64Array.of(100, 0, 50, 0, 100, 0),
      v_cache: Float64Array.of(1, 2, 3, 4, 5, 6),
      begins: Float64Array.of(0),
      lengths: Float64Array.of(3),
    };
    const { y } = await launch(backend, 1, "cached_attention", {
      axes,
      dtypes,
      scalars: { scale: 1, window: 0 },
      values,
    });
    expect([...y!.values]).toEqual([3, 4]);
  });
});
