import { BF16, type KernelBench } from "./harness.js";

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

// Mistral-7B's qkv, output, gate and up, down; then the widest of models of 1.1 billion and of 15 million parameters.
const gpu = [
  { R: 4096, C: 4096, F: 6144 },
  { R: 4096, C: 4096, F: 4096 },
  { R: 4096, C: 4096, F: 28672 },
  { R: 4096, C: 14336, F: 4096 },
  { R: 4096, C: 2048, F: 11264 },
  { R: 8192, C: 288, F: 1536 },
];
const gpuDecoding = [{ R: 8, C: 4096, F: 28672 }];

export const benches: KernelBench[] = [
  { kernel: "linear_forward", axes: [...axes, ...decoding] },
  { kernel: "linear_backward_input", axes },
  { kernel: "linear_backward_weight", axes },
  { kernel: "linear_forward", on: "cuda", dtypes: BF16, axes: [...gpu, ...gpuDecoding] },
  { kernel: "linear_forward", on: "cuda", dtypes: [{ t: "f32" }], axes: [{ R: 4096, C: 288, F: 768 }] },
  { kernel: "linear_backward_input", on: "cuda", dtypes: BF16, axes: gpu },
  { kernel: "linear_backward_weight", on: "cuda", dtypes: BF16, axes: gpu },
];
