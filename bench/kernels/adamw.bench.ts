import type { KernelBench } from "./harness.js";

const scalars = {
  lr: 1e-5,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weight_decay: 0.1,
  correction1: 0.5,
  correction2: 0.4,
  grad_scale: 1,
};

export const benches: KernelBench[] = [
  {
    kernel: "adamw",
    axes: [656_000, 15_200_000].map((N) => ({ N, L: 0 })),
    dtypes: [{ t: "f32" }],
    scalars: ({ N }) => ({ ...scalars, decayed: N! - 3000 }),
    inputs: { v: ({ N }) => new Float32Array(N!).fill(1e-3) },
  },
  {
    kernel: "adamw",
    axes: [656_000, 15_200_000].map((N) => ({ N, L: N })),
    dtypes: [{ t: "bf16" }],
    scalars: ({ N }) => ({ ...scalars, decayed: N! - 3000 }),
    inputs: { v: ({ N }) => new Float32Array(N!).fill(1e-3) },
  },
];
