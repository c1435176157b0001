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

// Attention of one new token per sequence over the cache, its own key and value included:
//   y[b,h,:] = sum_j softmax_j(scale * q[b,h,:] . k_cache[begins[b] + j, g, :]) * v_cache[begins[b] + j, g, :]
// for j in [max(0, lengths[b] - window), lengths[b]), window 0 meaning none, g = h / (H / K).
// B = sequences, N = slots of the cache, M = H + 2 K, t = f32 | bf16.
struct CachedAttention {
  static constexpr const char* kName = "cached_attention";
  Tensor qkv, k_cache, v_cache, begins, lengths, y;
  float scale = 1.0f;
  int64_t window = 0;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("qkv", qkv, "t[B,M,D]");
    v.in("k_cache", k_cache, "t[N,K,D]");
    v.in("v_cache", v_cache, "t[N,K,D]");
    v.in("begins", begins, "i32[B]");
    v.in("lengths", lengths, "i32[B]");
    v.out("y", y, "t[B,H,D]");
    v.scalar("scale", scale);
    v.scalar("window", window);
    v.require(qkv.dims[1] == y.dims[1] + 2 * k_cache.dims[1] && k_cache.dims[1] > 0 && y.dims[1] % k_cache.dims[1] == 0,
              "M = H + 2 K with K dividing H");
  }
  double flops() const { return 4.0 * y.size(); }
};

}  // namespace ww
