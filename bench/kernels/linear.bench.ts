import type { KernelBench } from "./harness.js";

// Projections and the head of a model of 15 million parameters, then those of smaller ones; a row at a time as in decoding.
const axes = [
  { R: 512, C: 288, F: 288 },
  { R: 512, C: 288, F: 768 },
  { R: 2048, C: 288, F: 768 },
  { R: 2048, C: 768, F: 288 },
  { R: 2048, C: 288, F: 32000 },
  { R: 256, C: 128, F: 2048 },
  { R: 256, C: 64, F: 512 },
];
const decoding = [
  { R: 1, C: 288, F: 768 },
  { R: 8, C: 288, F: 32000 },
];

export const benches: KernelBench[] = [
  { kernel: "linear_forward", axes: [...axes, ...decoding] },
  { kernel: "linear_backward_input", axes },
  { kernel: "linear_backward_weight", axes },
];
