import { logitsStride } from "../../lib/kernels/token_log_probs.js";
import { type Axes, BF16, type KernelBench } from "./harness.js";

// Heads of models of 0.3, 0.7 and 15 million parameters; half of the tokens have a label. Then a step of 8 pairs.
const sizes = [
  { T: 4096, C: 64, V: 512, N: 2048 },
  { T: 2048, C: 128, V: 2048, N: 1024 },
  { T: 2048, C: 288, V: 32000, N: 1024 },
  { T: 2968, C: 288, V: 32064, N: 2240 },
];

const rows = ({ T, N }: Axes) => Int32Array.from({ length: N! }, (_, n) => Math.floor((n * T!) / N!));
const labels = ({ V, N }: Axes) => Int32Array.from({ length: N! }, (_, n) => (n * 7919) % V!);
const lse = ({ C, V, N }: Axes) => new Float32Array(N!).fill(Math.log(V!) + C! / 8); // as wide as these logits spread

const forward = { kernel: "token_log_probs_forward", inputs: { rows, labels } } as const;
const backward = { kernel: "token_log_probs_backward", inputs: { rows, labels, lse } } as const;
const gpu = [
  { T: 4096, C: 4096, V: 32000, N: 2048 },
  { T: 8192, C: 288, V: 32064, N: 4096 },
];

/** Logits kept for the backward pass, and not. */
const both = (of: readonly Axes[]) =>
  of.flatMap((axes) => [
    { ...axes, L: axes.N!, S: logitsStride(axes.V!) },
    { ...axes, L: 0, S: 0 },
  ]);

export const benches: KernelBench[] = [
  { ...forward, axes: both(sizes) },
  { ...backward, axes: both(sizes) },
  { ...forward, on: "cuda", dtypes: BF16, axes: both(gpu) },
  { ...backward, on: "cuda", dtypes: BF16, axes: both(gpu) },
];
