#pragma once

#include "native/core/tensor.h"

namespace ww {

// k_cache[slots[t]] = keys of token t, v_cache[slots[t]] = values of token t, where qkv holds H query, K key and K
// value heads. N = slots of the cache (sequences x capacity), T = tokens, t = f32 | bf16. A slot outside [0, N) is an
// error.
struct KvCacheWrite {
  static constexpr const char* kName = "kv_cache_write";
  Tensor qkv, slots, k_cache, v_cache;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("qkv", qkv, "t[T,M,D]");
    v.in("slots", slots, "i32[T]");
    v.update("k_cache", k_cache, "t[N,K,D]");
    v.update("v_cache", v_cache, "t[N,K,D]");
    v.require(qkv.dims[1] > 2 * k_cache.dims[1], "M > 2 K");
  }
  double flops() const { return 0; }
};

// Attention over keys and values in pages, of new tokens whose own are in the cache already:
//   y[t,h,:] = sum_j softmax_j(scale * q[t,h,:] . k_cache[slot(t,j), g, :]) * v_cache[slot(t,j), g, :]
// for j in [max(0, positions[t] + 1 - window), positions[t]], window 0 meaning none, g = h / (H / K), where
// slot(t,j) = pages[sequences[t], j / page_size] * page_size + j % page_size.
// T = tokens of any sequences in any order; those that share keys should follow each other by position. B = sequences,
// P = pages of the longest, N = slots of the cache, M = H + 2 K, t = f32 | bf16. A sequence outside [0, B), a position
// outside [0, P page_size) and a page that is read and lies outside [0, N / page_size) are errors; other entries of
// `pages`, and slots that are not read, may hold anything. On a CPU, and in f32, a token's y does not depend on the
// rest of the call, to the last bit: sums over keys run in an order that its position and the window alone decide.
struct PagedAttention {
  static constexpr const char* kName = "paged_attention";
  Tensor qkv, k_cache, v_cache, pages, sequences, positions, y;
  float scale = 1.0f;
  int64_t window = 0, page_size = 1;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("qkv", qkv, "t[T,M,D]");
    v.in("k_cache", k_cache, "t[N,K,D]");
    v.in("v_cache", v_cache, "t[N,K,D]");
    v.in("pages", pages, "i32[B,P]");
    v.in("sequences", sequences, "i32[T]");
    v.in("positions", positions, "i32[T]");
    v.out("y", y, "t[T,H,D]");
    v.scalar("scale", scale);
    v.scalar("window", window);
    v.scalar("page_size", page_size);
    v.require(qkv.dims[1] == y.dims[1] + 2 * k_cache.dims[1] && k_cache.dims[1] > 0 && y.dims[1] % k_cache.dims[1] == 0,
              "M = H + 2 K with K dividing H");
    v.require(qkv.dims[2] <= 256, "D <= 256");
    v.require(page_size > 0 && k_cache.dims[0] % page_size == 0, "a page_size that divides N");
  }
  double flops() const { return 4.0 * y.size(); }  // of one key: how many there are stands in positions
};

}  // namespace ww
