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

export function cachedAttention(
  { qkv, k_cache, v_cache, begins, lengths }: Arrays<"qkv" | "k_cache" | "v_cache" | "begins" | "lengths">,
  { B, M, H, K, D }: Axes<"B" | "N" | "M" | "H" | "K" | "D">,
  { scale, window }: { scale: number; window: number },
): Arrays<"y"> {
  const y = new Float64Array(B * H * D);
  for (let b = 0; b < B; b++) {
    const first = window > 0 ? Math.max(0, lengths[b]! - window) : 0;
    for (let h = 0; h < H; h++) {
      const g = Math.floor(h / (H / K));
      const slot = (j: number) => ((begins[b]! + first + j) * K + g) * D;
      const scores = Array.from({ length: lengths[b]! - first }, (_, j) => {
        let s = 0;
        for (let d = 0; d < D; d++) s += qkv[(b * M + h) * D + d]! * k_cache[slot(j) + d]!;
        return scale * s;
      });
      const top = Math.max(...scores);
      const weights = scores.map((s) => Math.exp(s - top));
      const total = weights.reduce((sum, w) => sum + w, 0);
      for (let j = 0; j < weights.length; j++) {
        for (let d = 0; d < D; d++) y[(b * H + h) * D + d]! += (weights[j]! / total) * v_cache[slot(j) + d]!;
      }
    }
  }
  return { y };
}
