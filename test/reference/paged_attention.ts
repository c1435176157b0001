import type { Arrays, Axes } from "../kernels/conformance.js";

export function kvCacheWrite(
  { qkv, slots, k_cache, v_cache }: Arrays<"qkv" | "slots" | "k_cache" | "v_cache">,
  { T, M, K, D }: Axes<"T" | "N" | "M" | "K" | "D">,
): Arrays<"k_cache" | "v_cache"> {
  const keys = k_cache.slice();
  const values = v_cache.slice();
  for (let t = 0; t < T; t++) {
    const from = (t * M + M - 2 * K) * D;
    keys.set(qkv.subarray(from, from + K * D), slots[t]! * K * D);
    values.set(qkv.subarray(from + K * D, from + 2 * K * D), slots[t]! * K * D);
  }
  return { k_cache: keys, v_cache: values };
}

export function pagedAttention(
  inputs: Arrays<"qkv" | "k_cache" | "v_cache" | "pages" | "sequences" | "positions">,
  { T, P, M, H, K, D }: Axes<"T" | "B" | "P" | "N" | "M" | "H" | "K" | "D">,
  { scale, window, page_size }: { scale: number; window: number; page_size: number },
): Arrays<"y"> {
  const { qkv, k_cache, v_cache, pages, sequences, positions } = inputs;
  const y = new Float64Array(T * H * D);
  for (let t = 0; t < T; t++) {
    const first = window > 0 ? Math.max(0, positions[t]! + 1 - window) : 0;
    const slots = Array.from({ length: positions[t]! + 1 - first }, (_, i) => {
      const j = first + i;
      return pages[sequences[t]! * P + Math.floor(j / page_size)]! * page_size + (j % page_size);
    });
    for (let h = 0; h < H; h++) {
      const g = Math.floor(h / (H / K));
      const scores = slots.map((slot) => {
        let s = 0;
        for (let d = 0; d < D; d++) s += qkv[(t * M + h) * D + d]! * k_cache[(slot * K + g) * D + d]!;
        return scale * s;
      });
      const top = Math.max(...scores);
      const weights = scores.map((s) => Math.exp(s - top));
      const total = weights.reduce((sum, w) => sum + w, 0);
      slots.forEach((slot, i) => {
        const weight = weights[i]! / total;
        for (let d = 0; d < D; d++) y[(t * H + h) * D + d]! += weight * v_cache[(slot * K + g) * D + d]!;
      });
    }
  }
  return { y };
}
