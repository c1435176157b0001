import type { KernelBench } from "./harness.js";

export const benches: KernelBench[] = [
  { kernel: "dpo_loss", axes: [{ P: 64 }], scalars: { beta: 0.1, label_smoothing: 0, grad_scale: 1 / 64 } },
];
