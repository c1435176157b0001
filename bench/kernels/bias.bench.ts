import type { KernelBench } from "./harness.js";

const axes = [
  { R: 2048, F: 288 },
  { R: 8192, F: 2048 },
];

export const benches: KernelBench[] = [
  { kernel: "bias_forward", axes },
  { kernel: "bias_backward", axes },
];
