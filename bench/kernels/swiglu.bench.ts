import { BF16, type KernelBench } from "./harness.js";

const axes = [
  { R: 2048, F: 768, G: 1536 },
  { R: 2048, F: 5632, G: 11264 },
];

const mistral = [{ R: 4096, F: 14336, G: 28672 }];

export const benches: KernelBench[] = [
  { kernel: "swiglu_forward", axes },
  { kernel: "swiglu_backward", axes },
  { kernel: "swiglu_forward", on: "cuda", dtypes: BF16, axes: mistral },
  { kernel: "swiglu_backward", on: "cuda", dtypes: BF16, axes: mistral },
];
