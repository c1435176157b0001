import type { KernelBench } from "./harness.js";

export const benches: KernelBench[] = [
  {
    kernel: "cast",
    axes: [{ N: 15_200_000 }],
    dtypes: [
      { s: "f32", t: "bf16" },
      { s: "bf16", t: "f32" },
      { s: "f32", t: "f32" },
    ],
  },
  {
    kernel: "cast",
    on: "cuda",
    axes: [{ N: 500_000_000 }],
    dtypes: [
      { s: "f32", t: "bf16" },
      { s: "bf16", t: "f32" },
    ],
  },
];
