import { BF16, type KernelBench } from "./harness.js";

const axes = [
  { R: 2048, C: 288 },
  { R: 8192, C: 2048 },
];

const mistral = [
  { R: 4096, C: 4096 },
  { R: 8192, C: 4096 },
];

export const benches: KernelBench[] = [
  { kernel: "rms_norm_forward", axes, scalars: { eps: 1e-5 } },
  { kernel: "residual_rms_norm_forward", axes, scalars: { eps: 1e-5 } },
  { kernel: "rms_norm_backward", axes },
  { kernel: "rms_norm_forward", on: "cuda", dtypes: BF16, axes: mistral, scalars: { eps: 1e-5 } },
  { kernel: "residual_rms_norm_forward", on: "cuda", dtypes: BF16, axes: mistral, scalars: { eps: 1e-5 } },
  { kernel: "rms_norm_backward", on: "cuda", dtypes: BF16, axes: mistral },
];
