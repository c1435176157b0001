import type { KernelBench } from "./harness.js";

export const benches: KernelBench[] = [
  { kernel: "global_norm", axes: [{ N: 656_000 }, { N: 15_200_000 }, { N: 60_000_000 }] },
  { kernel: "global_norm", on: "cuda", dtypes: [{ t: "f32" }], axes: [{ N: 15_200_000 }, { N: 500_000_000 }] },
];
