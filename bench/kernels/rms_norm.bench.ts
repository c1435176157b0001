import type { KernelBench } from "./harness.js";

const axes = [
  { R: 2048, C: 288 },
  { R: 8192, C: 2048 },
];

export const benches: KernelBench[] = [
  { kernel: "rms_norm_forward", axes, scalars: { eps: 1e-5 } },
  { kernel: "rms_norm_backward", axes },
];
