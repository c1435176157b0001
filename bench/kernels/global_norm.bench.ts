import type { KernelBench } from "./harness.js";

export const benches: KernelBench[] = [
  { kernel: "global_norm", axes: [{ N: 656_000 }, { N: 15_200_000 }, { N: 60_000_000 }] },
];
