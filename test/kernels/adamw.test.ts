import { describe, expect, test } from "vitest";

import { adamw } from "../../lib/kernels/adamw.js";
import { fill } from "../../lib/kernels/fill.js";
import { Arena } from "../../lib/tensor/arena.js";
import * as reference from "../reference/adamw.js";
import { conformance, expectClose, type Fill } from "./conformance.js";
import { backends, type DTypes, launch, type Outcome } from "./launch.js";

// Every scalar far from its neutral value, so that forgetting one shows.
const scalars = {
  lr: 0.1,
  beta1: 0.7,
  beta2: 0.6,
  eps: 0.1,
  weight_decay: 0.3,
  correction1: 0.5,
  correction2: 0.4,
  grad_scale: 0.5,
  step: 3,
};
const v: Fill<"N"> = ({ N }, random) => Float64Array.from({ length: N }, () => random.next());

const axesOf =
  (N: number) =>
  ({ t }: DTypes) => ({ N, L: t === "bf16" ? N : 0 });
const low: Fill<"L"> = ({ L }, random) => Float64Array.from({ length: L }, () => random.below(2 ** 16));

/** The master in place of its two halves, or the weight where it is all there is. */
function observe({ weight, low, m, v }: Readonly<Record<string, Outcome>>): Record<string, Outcome> {
  if (low!.values.length === 0) return { master: weight!, m: m!, v: v! };
  const values = weight!.values.map((value, n) => reference.joinMaster(value, low!.values[n] ?? 0));
  return { master: { dtype: "f32", values, bits: Float32Array.from(values) }, m: m!, v: v! };
}

// One number; decay that ends inside a vector; decay that ends inside the second chunk; none; all.
conformance("adamw", {
  reference: reference.adamw,
  axes: [axesOf(1), axesOf(37), axesOf(65636)],
  scalars: ({ N }) => ({ ...scalars, decayed: N > 100 ? 65541 : (N + 1) / 2 }),
  inputs: { v, low },
  observe,
});
for (const decayed of [0, 50]) {
  conformance("adamw", {
    reference: reference.adamw,
    axes: [axesOf(50), { N: 50, L: 0 }],
    scalars: { ...scalars, decayed },
    inputs: { v, low },
    observe,
  });
}

describe.each(backends)("$name", (backend) => {
  const masters: Record<"f32" | "bf16", Float32Array[]> = { f32: [], bf16: [] };
  // A split master is the f32 weights to the last bit.
  test.each(["f32", "bf16"] as const)("5 updates of %s weights follow torch.optim.AdamW", async (dtype) => {
    using arena = new Arena(backend.device(1));
    const [N, decayed, lr, beta1, beta2, eps, weightDecay] = [41, 21, 0.01, 0.9, 0.999, 1e-8, 0.1];
    const start = Float32Array.from({ length: N }, (_, n) => Math.sin(n));
    const tensor = (values: Float32Array) => arena.from<"N">(values);
    const isSplit = dtype === "bf16";
    const weight = arena.empty<"N">([N], dtype);
    const low = arena.empty<"L">([isSplit ? N : 0], "u16");
    const halves = Array.from(start, reference.splitMaster);
    weight.upload(isSplit ? Float32Array.from(halves, (half) => half.weight) : start);
    low.upload(Uint16Array.from(isSplit ? halves : [], (half) => half.low));
    const [m, v] = [tensor(new Float32Array(N)), tensor(new Float32Array(N))];

    const torch = { weight: Float64Array.from(start), m: new Float64Array(N), v: new Float64Array(N) };
    for (let step = 1; step <= 5; step++) {
      const grad = Float32Array.from({ length: N }, (_, n) => Math.cos(n * step) * 10 ** ((n % 9) - 4));
      const [correction1, correction2] = [1 - beta1 ** step, 1 - beta2 ** step];
      const rest = { lr, beta1, beta2, eps, weightDecay, correction1, correction2, gradScale: 0.5, decayed };
      adamw(tensor(grad), { m, v }, { weight, low, step, ...rest });
      for (let n = 0; n < N; n++) {
        const g = 0.5 * grad[n]!;
        if (n < decayed) torch.weight[n]! *= 1 - lr * weightDecay;
        torch.m[n]! += (g - torch.m[n]!) * (1 - beta1);
        torch.v[n] = torch.v[n]! * beta2 + g * g * (1 - beta2);
        const denominator = Math.sqrt(torch.v[n]!) / Math.sqrt(correction2) + eps;
        torch.weight[n]! -= ((lr / correction1) * torch.m[n]!) / denominator;
      }
      const [weights, lows] = [await weight.readFloats(), await low.read()];
      const master = Float32Array.from(weights, (value, n) => reference.joinMaster(value, lows[n] ?? 0));
      expectClose("master", master, torch.weight, { tolerance: 1e-6 });
      expectClose("m", await m.readFloats(), torch.m, { tolerance: 1e-6 });
      expectClose("v", await v.readFloats(), torch.v, { tolerance: 1e-6 });
      masters[dtype].push(master);
      if (!isSplit) continue;
      expect([...weights]).toEqual(Array.from(master, (value) => reference.splitMaster(value).weight));
      expect(master).toEqual(masters.f32[step - 1]);
    }
  });

  const update = async (values: { grad: number; m: number; v: number }, scalars: Record<string, number> = {}) => {
    const { weight, m, v } = await launch(backend, 1, "adamw", {
      axes: { N: 1, L: 0 },
      dtypes: { t: "f32", s: "f32" },
      scalars: {
        ...{ lr: 0.5, beta1: 0.9, beta2: 0.5, eps: 1e-8, weight_decay: 0, decayed: 0 },
        ...{ correction1: 1, correction2: 1, grad_scale: 1, step: 1, ...scalars },
      },
      values: {
        grad: Float64Array.of(values.grad),
        weight: Float64Array.of(1),
        low: Float64Array.of(),
        m: Float64Array.of(values.m),
        v: Float64Array.of(values.v),
      },
    });
    return { weight: weight!.values[0]!, m: m!.values[0]!, v: v!.values[0]! };
  };

  test("nothing happens to a weight without gradient", async () => {
    expect(await update({ grad: 0, m: 0, v: 0 })).toEqual({ weight: 1, m: 0, v: 0 });
  });

  test("gradients whose square leaves f32 move no weight and make no NaN", async () => {
    expect((await update({ grad: 1e30, m: 0, v: 0 })).weight).toBe(1);
    expect((await update({ grad: 1e-30, m: 0, v: 0 })).weight).toBe(1);
    expect((await update({ grad: 1e-40, m: 1e-40, v: 1e-40 })).weight).toBe(1);
  });

  test("a large second moment may be corrected beyond f32", async () => {
    const { weight } = await update({ grad: 0, m: 1e19, v: 2e38 }, { correction2: 1e-3 });
    expect(weight).toBeCloseTo(1 - (0.5 * 9e18) / Math.sqrt(1e38 / 1e-3), 6);
  });

  const steady = { beta1: 0, eps: 1e-8, weightDecay: 0, correction1: 1, correction2: 1, gradScale: 1, decayed: 0 };

  test("weights without a master move by less than their last bit, on average", async () => {
    using arena = new Arena(backend.device(1));
    const tensor = (value: number, dtype: "f32" | "bf16" = "f32") => fill(arena.empty<"N">([4099], dtype), value);
    const [weight, grad, low] = [tensor(1, "bf16"), tensor(1), arena.empty<"L">([0], "u16")];
    const moments = { m: tensor(0), v: tensor(0) };
    for (let step = 1; step <= 100; step++) {
      adamw(grad, moments, { ...steady, weight, low, lr: 1e-4, beta2: 0, step });
    }
    const weights = await weight.readFloats();
    expect(new Set(weights).size).toBeGreaterThan(4);
    expect(mean(weights)).toBeCloseTo(0.99, 3); // bf16 has no number between 0.996 and 1
  });

  test("a second moment in bf16 shrinks by less than its last bit, on average", async () => {
    using arena = new Arena(backend.device(1));
    const tensor = (value: number, dtype: "f32" | "bf16") => fill(arena.empty<"N">([4099], dtype), value);
    const [weight, grad, low] = [tensor(1, "f32"), tensor(0, "f32"), arena.empty<"L">([0], "u16")];
    const moments = { m: tensor(0, "bf16"), v: tensor(1, "bf16") };
    for (let step = 1; step <= 100; step++) {
      adamw(grad, moments, { ...steady, weight, low, lr: 0, beta2: 0.999, step });
    }
    expect(mean(await moments.v.readFloats())).toBeCloseTo(0.999 ** 100, 3);
  });
});

const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
