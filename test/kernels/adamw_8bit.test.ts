import { describe, expect, test } from "vitest";

import { Random } from "../../lib/base/random.js";
import { adamw, MOMENT_BLOCK } from "../../lib/kernels/adamw.js";
import { fill } from "../../lib/kernels/fill.js";
import { Arena } from "../../lib/tensor/arena.js";
import * as reference from "../reference/adamw.js";
import { expectClose, expectSameBits } from "./conformance.js";
import { backends, type Launch, launch, rounded } from "./launch.js";

const scalars = {
  ...{ lr: 0.1, beta1: 0.7, beta2: 0.6, eps: 0.1, weight_decay: 0.3 },
  ...{ correction1: 0.5, correction2: 0.4, grad_scale: 0.5, step: 3 },
};
const values = (length: number, make: () => number) => Float64Array.from({ length }, make);

/** Any codes, scales apart by orders of magnitude, and a block of zeros. */
function makeRun(N: number, t: "f32" | "bf16", L: number): Launch {
  const random = new Random(N);
  const B = Math.ceil(N / MOMENT_BLOCK);
  const scale = () => values(B, () => 10 ** (4 * random.next() - 3));
  const [mScale, vScale] = [rounded("f32", scale()), rounded("f32", scale())];
  if (B > 2) mScale[1] = vScale[1] = 0;
  return {
    axes: { N, L, B },
    dtypes: { t },
    scalars: { ...scalars, decayed: Math.floor(0.7 * N) },
    values: {
      grad: rounded(
        "f32",
        values(N, () => (2 * random.next() - 1) * 10 ** (-4 * random.next())),
      ),
      weight: rounded(
        t,
        values(N, () => 2 * random.next() - 1),
      ),
      low: values(L, () => random.below(2 ** 16)),
      m: values(N, () => random.below(2 ** 8)),
      m_scale: mScale,
      v: values(N, () => random.below(241)),
      v_scale: vScale,
    },
  };
}

// One element; a block; one that ends within another; more than a task takes.
const cases = [1, 256, 300, 1027, 65636].flatMap((N) => [
  [N, "f32", 0] as const,
  [N, "bf16", 0] as const,
  [N, "bf16", N] as const,
]);

describe.each(backends)("$name", (backend) => {
  test.each(cases)(`adamw_8bit ${backend.name} N=%i t=%s L=%i`, async (N, t, L) => {
    const run = makeRun(N, t, L);
    const { grad, weight, low, m, m_scale, v, v_scale } = run.values as Record<string, Float64Array>;
    const block = (n: number) => Math.floor(n / MOMENT_BLOCK);
    const expected = reference.adamw(
      {
        ...{ grad: grad!, weight: weight!, low: low! },
        m: m!.map((code, n) => reference.decodeFirstMoment(code, m_scale![block(n)]!)),
        v: v!.map((code, n) => reference.decodeRoot(code, v_scale![block(n)]!) ** 2),
      },
      { N, L },
      run.scalars as Parameters<typeof reference.adamw>[2],
    );

    const outcome = await launch(backend, 1, "adamw_8bit", run);
    expectSameBits("adamw_8bit", outcome, await launch(backend, 3, "adamw_8bit", run));
    const weights = outcome.weight!.values;
    const master = L > 0 ? weights.map((value, n) => reference.joinMaster(value, outcome.low!.values[n]!)) : weights;
    expectClose("master", master, expected.master, { tolerance: t === "bf16" && L === 0 ? 8e-3 : 2e-5 });

    // A scale is the largest of its block. Shares have 3 and 4 bits behind the first, from 2^-15 on; what is not 0 has
    // a root that is not 0.
    for (let b = 0; b < outcome.m_scale!.values.length; b++) {
      const inBlock = (all: Float64Array) => all.subarray(b * MOMENT_BLOCK, (b + 1) * MOMENT_BLOCK);
      const largestM = inBlock(expected.m).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const largestV = inBlock(expected.v).reduce((most, value) => Math.max(most, value), 0);
      expect(outcome.m_scale!.values[b]! / largestM).toBeCloseTo(1, 5);
      expect(outcome.v_scale!.values[b]! / Math.sqrt(largestV)).toBeCloseTo(1, 5);
    }
    for (let n = 0; n < N; n++) {
      const [mScale, vScale] = [outcome.m_scale!.values[block(n)]!, outcome.v_scale!.values[block(n)]!];
      const found = reference.decodeFirstMoment(outcome.m!.values[n]!, mScale);
      const far = Math.abs(found - expected.m[n]!);
      expect(far).toBeLessThanOrEqual(Math.max((1.001 * Math.abs(expected.m[n]!)) / 16, 1.07 * 2 ** -15 * mScale));
      const root = Math.sqrt(expected.v[n]!);
      const foundRoot = reference.decodeRoot(outcome.v!.values[n]!, vScale);
      expect(Math.abs(foundRoot - root)).toBeLessThanOrEqual(Math.max((1.001 * root) / 16, 1.07 * 2 ** -15 * vScale));
      expect(foundRoot > 0).toBe(root > 0);
    }
  });

  test("a second moment that shrinks beside others follows, on average, and each step rounds in its own way", async () => {
    using arena = new Arena(backend.device(1));
    const [N, B] = [4 * MOMENT_BLOCK, 4];
    const weight = fill(arena.empty<"N">([N], "f32"), 1);
    const low = arena.empty<"L">([0], "u16");
    const scale = () => fill(arena.empty<"B">([B], "f32"), 0);
    const moments = {
      m: arena.empty<"N">([N], "u8"),
      mScale: scale(),
      v: arena.empty<"N">([N], "u8"),
      vScale: scale(),
    };
    const rest = { eps: 1e-8, weightDecay: 0, correction1: 1, correction2: 1, gradScale: 1, decayed: 0, lr: 0 };
    const ones = fill(arena.empty<"N">([N], "f32"), 1);
    const halves = arena.from<"N">(Float32Array.from({ length: N }, (_, n) => n % 2));
    adamw(ones, moments, { ...rest, weight, low, beta1: 0, beta2: 0, step: 1 });
    for (let step = 2; step <= 301; step++) {
      adamw(halves, moments, { ...rest, weight, low, beta1: 0, beta2: 0.99, step });
    }
    const [codes, scales] = [await moments.v.read(), await moments.vScale.readFloats()];
    const roots = Array.from(codes, (code, n) => reference.decodeRoot(code, scales[Math.floor(n / MOMENT_BLOCK)]!));
    const meanOf = (rest: number) => roots.filter((_, n) => n % 2 === rest).reduce((a, b) => a + b) / (N / 2);
    expect(meanOf(1)).toBeCloseTo(1, 2);
    expect(meanOf(0) / 0.99 ** 150).toBeCloseTo(1, 1);
    expect(new Set(roots.filter((_, n) => n % 2 === 0)).size).toBeGreaterThan(4);
  });
});
