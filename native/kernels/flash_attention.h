#pragma once

#include "native/core/tensor.h"

namespace ww {

// Key k is visible to query q in a packed batch. Documents see themselves; in [prompt | chosen | rejected] the prompt
// is visible to the pair's end and chosen only to its own, so both answers share one prompt. A window of 0 means none.
WW_HOST_DEVICE WW_INLINE bool is_visible(int64_t q, int64_t k, const int32_t* positions, const int32_t* sequence_start,
                                         const int32_t* visible_until, int64_t window) {
  return k >= sequence_start[q] && k <= q && q < visible_until[k] &&
         (window == 0 || positions[q] - positions[k] < window);
}

// With query head h reading key/value head g = h / (H / K), where qkv holds H query, K key and K value heads:
//   s[h,i,j] = scale * sum_d q[i,h,d] * k[j,g,d]      over visible (i, j), is_visible above
//   lse[h,i] = log sum_j exp(s[h,i,j])
//   y[i,h,d] = sum_j exp(s[h,i,j] - lse[h,i]) * v[j,g,d]
//
// Dao et al., arXiv:2205.14135, arXiv:2307.08691: computed in tiles, no T x T matrix. T = packed tokens, M = H + 2 K,
// D = head size (at most 256), t = f32 | bf16; scores, sums and lse are f32. Tokens of a sequence are contiguous,
// sequence_start never decreases, and every token sees itself; where it is otherwise is an error.
struct FlashAttentionForward {
  static constexpr const char* kName = "flash_attention_forward";
  Tensor qkv, positions, sequence_start, visible_until, y, lse;
  float scale = 1.0f;
  int64_t window = 0;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("qkv", qkv, "t[T,M,D]");
    v.in("positions", positions, "i32[T]");
    v.in("sequence_start", sequence_start, "i32[T]");
    v.in("visible_until", visible_until, "i32[T]");
    v.out("y", y, "t[T,H,D]");
    v.out("lse", lse, "f32[H,T]");
    v.scalar("scale", scale);
    v.scalar("window", window);
    v.require(window >= 0, "window >= 0");
    require_heads(v, qkv, y.dims[1]);
  }
  // 4 per visible score and head channel, if every token sees half of the batch.
  double flops() const { return 2.0 * y.size() * y.dims[0]; }

  template <class Visitor>
  static void require_heads(Visitor& v, const Tensor& qkv, int64_t heads) {
    const int64_t key_value = qkv.dims[1] - heads;
    v.require(key_value > 0 && key_value % 2 == 0 && heads % (key_value / 2) == 0, "M = H + 2 K with K dividing H");
    v.require(qkv.dims[2] <= 256, "D <= 256");
  }
};

// With p = exp(s - lse) and delta[h,i] = sum_d dy[i,h,d] * y[i,h,d]:
//   dv[j,g,d] = sum_{h of g, i} p[h,i,j] * dy[i,h,d]
//   ds[h,i,j] = p[h,i,j] * (sum_d dy[i,h,d] * v[j,g,d] - delta[h,i])
//   dq[i,h,d] = scale * sum_j ds[h,i,j] * k[j,g,d]
//   dk[j,g,d] = scale * sum_{h of g, i} ds[h,i,j] * q[i,h,d]
// Sums run in a fixed order.
struct FlashAttentionBackward {
  static constexpr const char* kName = "flash_attention_backward";
  Tensor dy, qkv, y, lse, positions, sequence_start, visible_until, dqkv;
  float scale = 1.0f;
  int64_t window = 0;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("dy", dy, "t[T,H,D]");
    v.in("qkv", qkv, "t[T,M,D]");
    v.in("y", y, "t[T,H,D]");
    v.in("lse", lse, "f32[H,T]");
    v.in("positions", positions, "i32[T]");
    v.in("sequence_start", sequence_start, "i32[T]");
    v.in("visible_until", visible_until, "i32[T]");
    v.out("dqkv", dqkv, "t[T,M,D]");
    v.scalar("scale", scale);
    v.scalar("window", window);
    v.require(window >= 0, "window >= 0");
    FlashAttentionForward::require_heads(v, qkv, y.dims[1]);
  }
  double flops() const { return 5.0 * y.size() * y.dims[0]; }
};

}  // namespace ww
