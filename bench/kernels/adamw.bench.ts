import type { Axes, KernelBench } from "./harness.js";

const scalars = {
  lr: 1e-5,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weight_decay: 0.1,
  correction1: 0.5,
  correction2: 0.4,
  grad_scale: 1,
  step: 1,
};

const adamw = {
  kernel: "adamw",
  scalars: ({ N }: Axes) => ({ ...scalars, decayed: N! - 3000 }),
  inputs: { v: 1e-3 },
} as const;
const adamw8bit = { ...adamw, kernel: "adamw_8bit", inputs: { m_scale: 1e-3, v_scale: 1e-3 } } as const;

// Weights, then moments.
const WHOLE = [{ t: "f32", s: "f32" }] as const;
const SPLIT = [{ t: "bf16", s: "f32" }] as const;
const HALF = [{ t: "bf16", s: "bf16" }] as const;
const BYTES = [{ t: "bf16" }] as const;

const cpu = [656_000, 15_200_000];
const gpu = [15_200_000, 500_000_000];
const whole = (N: number) => ({ N, L: 0, B: Math.ceil(N / 256) });
const split = (N: number) => ({ N, L: N, B: Math.ceil(N / 256) });

export const benches: KernelBench[] = [
  { ...adamw, dtypes: WHOLE, axes: cpu.map(whole) },
  { ...adamw, dtypes: SPLIT, axes: cpu.map(split) },
  { ...adamw, dtypes: HALF, axes: [...cpu.map(split), ...cpu.map(whole)] },
  { ...adamw8bit, dtypes: BYTES, axes: [...cpu.map(split), ...cpu.map(whole)] },
  { ...adamw, on: "cuda", dtypes: SPLIT, axes: gpu.map(split) },
  { ...adamw, on: "cuda", dtypes: HALF, axes: [...gpu.map(split), ...gpu.map(whole)] },
  { ...adamw8bit, on: "cuda", dtypes: BYTES, axes: [...gpu.map(split), ...gpu.map(whole)] },
];
