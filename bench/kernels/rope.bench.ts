import { type Axes, BF16, type KernelBench } from "./harness.js";

const axes = [
  { T: 3103, M: 24, D: 8, E: 4 },
  { T: 3103, M: 24, D: 16, E: 8 },
  { T: 3103, M: 18, D: 48, E: 24 },
  { T: 4096, M: 48, D: 128, E: 64 },
];
const inputs = {
  positions: ({ T }: Axes) => Int32Array.from({ length: T! }, (_, t) => t % 300),
  inverse_frequencies: ({ E }: Axes) => Float32Array.from({ length: E! }, (_, e) => 10000 ** (-e / E!)),
};
const scalars = ({ M }: Axes) => ({ rotated: Math.floor((2 * M!) / 3), scaling: 1 });
const mistral = {
  on: "cuda",
  dtypes: BF16,
  axes: [{ T: 8192, M: 48, D: 128, E: 64 }],
  inputs,
  scalars: { rotated: 40, scaling: 1 },
} as const;

export const benches: KernelBench[] = [
  { kernel: "rope_forward", axes, inputs, scalars },
  { kernel: "rope_backward", axes, inputs, scalars },
  { kernel: "rope_forward", ...mistral },
  { kernel: "rope_backward", ...mistral },
];
