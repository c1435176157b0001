import type { Arrays, Axes, Scalars } from "../kernels/conformance.js";

/** The f32 master as its bf16 weight and what that lacks of it: the weight's bits are `bits(master) - low`, low signed. */
export function splitMaster(master: number): { weight: number; low: number } {
  const [bits] = new Uint32Array(Float32Array.of(master).buffer);
  const weight = new Float32Array(Uint32Array.of(((bits! + 0x8000) >>> 16) << 16).buffer);
  return { weight: weight[0]!, low: bits! & 0xffff };
}

export function joinMaster(weight: number, low: number): number {
  const [bits] = new Uint32Array(Float32Array.of(weight).buffer);
  return new Float32Array(Uint32Array.of(bits! + ((low << 16) >> 16)).buffer)[0]!;
}

/** The share of the largest that a code of 8 bits stands for: floating point with `mantissa` bits, from 2^-15 on. */
function decodeByte(code: number, mantissa: number): number {
  if (code === 0) return 0;
  return 2 ** (Math.floor(code / 2 ** mantissa) - 15) * (1 + (code % 2 ** mantissa) / 2 ** mantissa);
}

export const decodeFirstMoment = (code: number, scale: number): number =>
  (code & 0x80 ? -1 : 1) * decodeByte(code & 0x7f, 3) * scale;

export const decodeRoot = (code: number, scale: number): number => decodeByte(code, 4) * scale;

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
  inputs: Arrays<"grad" | "weight" | "low" | "m" | "v">,
  { N }: Axes<"N" | "L">,
  { lr, beta1, beta2, eps, weight_decay, correction1, correction2, grad_scale, decayed }: Scalars<Names>,
): Arrays<"master" | "m" | "v"> {
  const [master, m, v] = [new Float64Array(N), new Float64Array(N), new Float64Array(N)];
  for (let n = 0; n < N; n++) {
    const g = grad_scale * inputs.grad[n]!;
    m[n] = beta1 * inputs.m[n]! + (1 - beta1) * g;
    v[n] = beta2 * inputs.v[n]! + (1 - beta2) * g ** 2;
    const decay = n < decayed ? weight_decay : 0;
    master[n] =
      joinMaster(inputs.weight[n]!, inputs.low[n] ?? 0) * (1 - lr * decay) -
      (lr * (m[n]! / correction1)) / (Math.sqrt(v[n]! / correction2) + eps);
  }
  return { master, m, v };
}
