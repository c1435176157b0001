import type { KernelBench } from "./harness.js";

export const benches: KernelBench[] = [
  { kernel: "fill", axes: [{ N: 15_200_000 }], scalars: { value: 0 } },
  { kernel: "fill", axes: [{ N: 15_200_000 }], scalars: { value: 0.5 } },
  { kernel: "fill", on: "cuda", dtypes: [{ t: "f32" }], axes: [{ N: 500_000_000 }], scalars: { value: 0 } },
];
