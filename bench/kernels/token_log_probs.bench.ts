import type { Axes, KernelBench } from "./harness.js";

// Heads of models of 0.3, 0.7 and 15 million parameters; half of the tokens have a label.
const axes = [
  { T: 4096, C: 64, V: 512, N: 2048 },
  { T: 2048, C: 128, V: 2048, N: 1024 },
  { T: 2048, C: 288, V: 32000, N: 1024 },
];

const rows = ({ T, N }: Axes) => Int32Array.from({ length: N! }, (_, n) => Math.floor((n * T!) / N!));
const labels = ({ V, N }: Axes) => Int32Array.from({ length: N! }, (_, n) => (n * 7919) % V!);
const lse = ({ C, V, N }: Axes) => new Float32Array(N!).fill(Math.log(V!) + C! / 8); // as wide as these logits spread

export const benches: KernelBench[] = [
  { kernel: "token_log_probs_forward", axes, inputs: { rows, labels } },
  { kernel: "token_log_probs_backward", axes, inputs: { rows, labels, lse } },
];
