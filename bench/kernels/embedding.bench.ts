import { type Axes, BF16, type DTypes, dtypeBytes, type KernelBench } from "./harness.js";

const axes = [
  { T: 4000, V: 32000, C: 288 },
  { T: 4096, V: 32000, C: 2048 },
];
const tokens: NonNullable<KernelBench["inputs"]>[string] = ({ T, V }, random) =>
  Int32Array.from({ length: T! }, () => random.below(V!));

// Only the rows that tokens name are touched.
const forwardBytes = ({ T, C }: Axes, { t }: DTypes) => T! * (4 + 2 * C! * dtypeBytes(t));
const backwardBytes = ({ T, C }: Axes, { t }: DTypes) => T! * (4 + C! * (dtypeBytes(t) + 8));

const forward = { kernel: "embedding_forward", inputs: { tokens }, bytes: forwardBytes } as const;
const backward = { kernel: "embedding_backward", inputs: { tokens }, bytes: backwardBytes } as const;
const mistral = [{ T: 4096, V: 32000, C: 4096 }];

export const benches: KernelBench[] = [
  { ...forward, axes },
  { ...backward, axes },
  { ...forward, on: "cuda", dtypes: BF16, axes: mistral },
  { ...backward, on: "cuda", dtypes: BF16, axes: mistral },
];
