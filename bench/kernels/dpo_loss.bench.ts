import type { KernelBench } from "./harness.js";

const scalars = { beta: 0.1, label_smoothing: 0, grad_scale: 1 / 64 };

export const benches: KernelBench[] = (["cpu", "cuda"] as const).map((on) => {
  return { kernel: "dpo_loss", on, axes: [{ P: 64 }], scalars };
});
