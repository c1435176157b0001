import type { KernelBench } from "./harness.js";

const axes = [
  { R: 2048, F: 768, G: 1536 },
  { R: 2048, F: 5632, G: 11264 },
];

export const benches: KernelBench[] = [
  { kernel: "swiglu_forward", axes },
  { kernel: "swiglu_backward", axes },
];
