import type { Arrays, Axes } from "../kernels/conformance.js";

type Mask = "positions" | "sequence_start" | "visible_until";
type Options = { scale: number; window: number };

/** Whether key k is visible to query q, as native/kernels/flash_attention.h says. A window of 0 means none. */
export function isVisible(
  q: number,
  k: number,
  { positions, sequence_start, visible_until }: Arrays<Mask>,
  window: number,
): boolean {
  const inSequence = k >= sequence_start[q]! && k <= q && q < visible_until[k]!;
  return inSequence && (window === 0 || positions[q]! - positions[k]! < window);
}

/** Calls body(h, i, j, q, k, v) for every head and visible pair, with the offsets of q[i,h], k[j,g] and v[j,g]. */
function forEachVisible(
  inputs: Arrays<Mask>,
  { T, M, H, D }: Axes<"T" | "M" | "H" | "D">,
  window: number,
  body: (h: number, i: number, j: number, q: number, k: number, v: number) => void,
): void {
  const K = (M - H) / 2;
  for (let h = 0; h < H; h++) {
    const g = Math.floor(h / (H / K));
    for (let i = 0; i < T; i++) {
      for (let j = 0; j <= i; j++) {
        if (!isVisible(i, j, inputs, window)) continue;
        body(h, i, j, (i * M + h) * D, (j * M + H + g) * D, (j * M + H + K + g) * D);
      }
    }
  }
}

function dot(a: Float64Array, atA: number, b: Float64Array, atB: number, D: number): number {
  let sum = 0;
  for (let d = 0; d < D; d++) sum += a[atA + d]! * b[atB + d]!;
  return sum;
}

export function flashAttentionForward(
  inputs: Arrays<"qkv" | Mask>,
  axes: Axes<"T" | "M" | "H" | "D">,
  { scale, window }: Options,
): Arrays<"y" | "lse"> {
  const { T, H, D } = axes;
  const { qkv } = inputs;
  const top = new Float64Array(H * T).fill(-Infinity);
  forEachVisible(inputs, axes, window, (h, i, _j, q, k) => {
    top[h * T + i] = Math.max(top[h * T + i]!, scale * dot(qkv, q, qkv, k, D));
  });
  const sum = new Float64Array(H * T);
  forEachVisible(inputs, axes, window, (h, i, _j, q, k) => {
    sum[h * T + i]! += Math.exp(scale * dot(qkv, q, qkv, k, D) - top[h * T + i]!);
  });
  const lse = sum.map((value, at) => top[at]! + Math.log(value));
  const y = new Float64Array(T * H * D);
  forEachVisible(inputs, axes, window, (h, i, _j, q, k, v) => {
    const p = Math.exp(scale * dot(qkv, q, qkv, k, D) - lse[h * T + i]!);
    for (let d = 0; d < D; d++) y[(i * H + h) * D + d]! += p * qkv[v + d]!;
  });
  return { y, lse };
}

export function flashAttentionBackward(
  inputs: Arrays<"dy" | "qkv" | "y" | "lse" | Mask>,
  axes: Axes<"T" | "M" | "H" | "D">,
  { scale, window }: Options,
): Arrays<"dqkv"> {
  const { T, H, D } = axes;
  const { dy, qkv, y, lse } = inputs;
  const dqkv = new Float64Array(qkv.length);
  forEachVisible(inputs, axes, window, (h, i, _j, q, k, v) => {
    const at = (i * H + h) * D;
    const p = Math.exp(scale * dot(qkv, q, qkv, k, D) - lse[h * T + i]!);
    const ds = p * (dot(dy, at, qkv, v, D) - dot(dy, at, y, at, D));
    for (let d = 0; d < D; d++) {
      dqkv[q + d]! += scale * ds * qkv[k + d]!;
      dqkv[k + d]! += scale * ds * qkv[q + d]!;
      dqkv[v + d]! += p * dy[at + d]!;
    }
  });
  return { dqkv };
}
