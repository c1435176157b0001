import { type Axes, BF16, type KernelBench } from "./harness.js";

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

const adamw = {
  kernel: "adamw",
  scalars: ({ N }: Axes) => ({ ...scalars, decayed: N! - 3000 }),
  inputs: { v: 1e-3 },
} as const;

export const benches: KernelBench[] = [
  { ...adamw, dtypes: [{ t: "f32" }], axes: [656_000, 15_200_000].map((N) => ({ N, L: 0 })) },
  { ...adamw, dtypes: BF16, axes: [656_000, 15_200_000].map((N) => ({ N, L: N })) },
  { ...adamw, on: "cuda", dtypes: BF16, axes: [15_200_000, 500_000_000].map((N) => ({ N, L: N })) },
];
