import type { Arrays, Axes, Scalars } from "../kernels/conformance.js";

type Names =
  | "lr"
  | "beta1"
  | "beta2"
  | "eps"
  | "weight_decay"
  | "correction1"
  | "correction2"
  | "grad_scale"
  | "decayed";

export function adamw(
  inputs: Arrays<"grad" | "weight" | "master" | "m" | "v">,
  { N }: Axes<"N">,
  { lr, beta1, beta2, eps, weight_decay, correction1, correction2, grad_scale, decayed }: Scalars<Names>,
): Arrays<"weight" | "master" | "m" | "v"> {
  const [master, m, v] = [new Float64Array(N), new Float64Array(N), new Float64Array(N)];
  for (let n = 0; n < N; n++) {
    const g = grad_scale * inputs.grad[n]!;
    m[n] = beta1 * inputs.m[n]! + (1 - beta1) * g;
    v[n] = beta2 * inputs.v[n]! + (1 - beta2) * g ** 2;
    const decay = n < decayed ? weight_decay : 0;
    master[n] =
      inputs.master[n]! * (1 - lr * decay) - (lr * (m[n]! / correction1)) / (Math.sqrt(v[n]! / correction2) + eps);
  }
  return { weight: master, master, m, v };
}
