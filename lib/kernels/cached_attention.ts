import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";
import type { AttentionOptions } from "./flash_attention.js";

// B = sequences, T = tokens, N = slots of the cache, H, K = query and key/value heads, M = H + 2 K, D = head size

/** Copies the keys and values of `qkv` to their slots. See native/kernels/cached_attention.h. */
export function kvCacheWrite(
  qkv: Tensor<"T,M,D">,
  slots: Tensor<"T">,
  kCache: Tensor<"N,K,D">,
  vCache: Tensor<"N,K,D">,
): void {
  call("kv_cache_write", { qkv, slots, k_cache: kCache, v_cache: vCache });
}

/** Attention of one new token per sequence over slots [begins[b], begins[b] + lengths[b]). */
export function cachedAttention(
  arena: Arena,
  qkv: Tensor<"T,M,D">,
  cache: { readonly k: Tensor<"N,K,D">; readonly v: Tensor<"N,K,D"> },
  sequences: { readonly begins: Tensor<"B">; readonly lengths: Tensor<"B"> },
  { numHeads, scale, window }: AttentionOptions,
): Tensor<"T,H,D"> {
  const [B, , D] = qkv.shape;
  const y = arena.empty<"T,H,D">([B!, numHeads, D!], qkv.dtype);
  call("cached_attention", { qkv, k_cache: cache.k, v_cache: cache.v, ...sequences, y, scale, window });
  return y;
}
