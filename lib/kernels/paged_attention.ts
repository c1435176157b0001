import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";
import type { AttentionOptions } from "./flash_attention.js";

// B = sequences, T = tokens, P = pages of the longest sequence, N = slots of the cache, H, K = query and key/value heads,
// M = H + 2 K, D = head size

/** Copies the keys and values of `qkv` to their slots. See native/kernels/paged_attention.h. */
export function kvCacheWrite(
  qkv: Tensor<"T,M,D">,
  slots: Tensor<"T">,
  kCache: Tensor<"N,K,D">,
  vCache: Tensor<"N,K,D">,
): void {
  call("kv_cache_write", { qkv, slots, k_cache: kCache, v_cache: vCache });
}

/** Keys and values in pages of `pageSize` slots: position p of a sequence lies in its page p / pageSize. */
export interface PagedCache {
  readonly k: Tensor<"N,K,D">;
  readonly v: Tensor<"N,K,D">;
  readonly pageSize: number;
}

/** Where tokens stand: the i32 pages of every sequence, of which those not in use may hold anything. */
export interface PagedTokens {
  readonly pages: Tensor<"B,P">;
  readonly sequences: Tensor<"T">;
  readonly positions: Tensor<"T">;
}

/**
 * Attention of new tokens, whose keys and values are in the cache already, over all that their sequences hold up to
 * them. On a CPU a token's result does not depend on the rest of the call. See native/kernels/paged_attention.h.
 */
export function pagedAttention(
  arena: Arena,
  qkv: Tensor<"T,M,D">,
  cache: PagedCache,
  { pages, sequences, positions }: PagedTokens,
  { numHeads, scale, window }: AttentionOptions,
): Tensor<"T,H,D"> {
  const [T, , D] = qkv.shape;
  const y = arena.empty<"T,H,D">([T!, numHeads, D!], qkv.dtype);
  const { k, v, pageSize } = cache;
  const args = { qkv, k_cache: k, v_cache: v, pages, sequences, positions, y, scale, window, page_size: pageSize };
  call("paged_attention", args);
  return y;
}
