import type { KernelBench } from "./harness.js";

const axes = [{ N: 4096, S: 32 }];
const segments: NonNullable<KernelBench["inputs"]>[string] = ({ N, S }) =>
  Int32Array.from({ length: N! }, (_, n) => Math.floor((n * S!) / N!));

export const benches: KernelBench[] = [
  { kernel: "segment_sum_forward", axes, inputs: { segments } },
  { kernel: "segment_sum_backward", axes, inputs: { segments } },
  { kernel: "segment_sum_forward", on: "cuda", axes, inputs: { segments } },
  { kernel: "segment_sum_backward", on: "cuda", axes, inputs: { segments } },
];
