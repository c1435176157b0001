import { describe, expect, test } from "vitest";

import { adamw } from "../../lib/kernels/adamw.js";
import { Arena } from "../../lib/tensor/arena.js";
import * as reference from "../reference/adamw.js";
import { conformance, expectClose, type Fill } from "./conformance.js";
import { backends, launch } from "./launch.js";

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
};
const v: Fill<"N"> = ({ N }, random) => Float64Array.from({ length: N }, () => random.next());

// One number; decay that ends inside a vector; decay that ends inside the second chunk; none; all.
conformance("adamw", {
  reference: reference.adamw,
  axes: [{ N: 1 }, { N: 37 }, { N: 65636 }],
  scalars: ({ N }) => ({ ...scalars, decayed: N > 100 ? 65541 : (N + 1) / 2 }),
  inputs: { v },
});
for (const decayed of [0, 50]) {
  conformance("adamw", {
    reference: reference.adamw,
    axes: [{ N: 50 }],
    scalars: { ...scalars, decayed },
    inputs: { v },
  });
}

describe.each(backends)("$name", (backend) => {
  test.each(["f32", "bf16"] as const)("5 updates of %s weights follow torch.optim.AdamW", async (dtype) => {
    using arena = new Arena(backend.device(1));
    const [N, decayed, lr, beta1, beta2, eps, weightDecay] = [41, 21, 0.01, 0.9, 0.999, 1e-8, 0.1];
    const start = Float32Array.from({ length: N }, (_, n) => Math.sin(n));
    const tensor = (values: Float32Array) => arena.from<"N">(values);
    const master = tensor(start);
    const weight = dtype === "f32" ? master : arena.empty<"N">([N], "bf16");
    const [m, v] = [tensor(new Float32Array(N)), tensor(new Float32Array(N))];

    const torch = { weight: Float64Array.from(start), m: new Float64Array(N), v: new Float64Array(N) };
    for (let step = 1; step <= 5; step++) {
      const grad = Float32Array.from({ length: N }, (_, n) => Math.cos(n * step) * 10 ** ((n % 9) - 4));
      const [correction1, correction2] = [1 - beta1 ** step, 1 - beta2 ** step];
      const rest = { lr, beta1, beta2, eps, weightDecay, correction1, correction2, gradScale: 0.5, decayed };
      adamw(tensor(grad), { weight, master, m, v, ...rest });
      for (let n = 0; n < N; n++) {
        const g = 0.5 * grad[n]!;
        if (n < decayed) torch.weight[n]! *= 1 - lr * weightDecay;
        torch.m[n]! += (g - torch.m[n]!) * (1 - beta1);
        torch.v[n] = torch.v[n]! * beta2 + g * g * (1 - beta2);
        const denominator = Math.sqrt(torch.v[n]!) / Math.sqrt(correction2) + eps;
        torch.weight[n]! -= ((lr / correction1) * torch.m[n]!) / denominator;
      }
      expectClose("master", await master.readFloats(), torch.weight, { tolerance: 1e-6 });
      if (dtype === "f32") continue;
      const bits = new Uint32Array((await master.readFloats()).buffer);
      const nearest = Uint16Array.from(bits, (u) => (u + 0x7fff + ((u >>> 16) & 1)) >>> 16);
      expect(await weight.read()).toEqual(nearest);
    }
  });

  const update = async (values: { grad: number; m: number; v: number }, scalars: Record<string, number> = {}) => {
    const { weight, m, v } = await launch(backend, 1, "adamw", {
      axes: { N: 1 },
      dtypes: { t: "f32" },
      scalars: {
        ...{ lr: 0.5, beta1: 0.9, beta2: 0.5, eps: 1e-8, weight_decay: 0, decayed: 0 },
        ...{ correction1: 1, correction2: 1, grad_scale: 1, ...scalars },
      },
      values: {
        grad: Float64Array.of(values.grad),
        weight: Float64Array.of(1),
        master: Float64Array.of(1),
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
});
