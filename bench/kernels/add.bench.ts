import { BF16, type KernelBench } from "./harness.js";

export const benches: KernelBench[] = [
  {
    kernel: "add",
    axes: [
      { R: 2048, C: 288 },
      { R: 8192, C: 2048 },
    ],
  },
  { kernel: "add", on: "cuda", dtypes: BF16, axes: [{ R: 8192, C: 4096 }] },
];
