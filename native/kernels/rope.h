#pragma once

#include "native/core/tensor.h"

namespace ww {

// Rotary position embedding (Su et al., arXiv:2104.09864) in Llama's half-split form, on the first `rotated` heads:
//   angle = positions[t] * inverse_frequencies[d],  a = scaling * cos(angle),  b = scaling * sin(angle)
//   y[t,m,d]     = x[t,m,d] * a - x[t,m,d+E] * b
//   y[t,m,d+E]   = x[t,m,d+E] * a + x[t,m,d] * b          for d in [0, E)
// The other heads (the values of a fused qkv) are copied.
//
// T = packed tokens, M = heads of queries, keys and values, D = head size, E = D / 2, t = f32 | bf16. `scaling` is
// YaRN's attention factor, 1 otherwise. Angles are computed in f32.
struct RopeForward {
  static constexpr const char* kName = "rope_forward";
  Tensor x, positions, inverse_frequencies, y;
  int64_t rotated = 0;
  float scaling = 1.0f;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("x", x, "t[T,M,D]");
    v.in("positions", positions, "i32[T]");
    v.in("inverse_frequencies", inverse_frequencies, "f32[E]");
    v.out("y", y, "t[T,M,D]");
    v.scalar("rotated", rotated);
    v.scalar("scaling", scaling);
    v.require(x.dims[2] == 2 * inverse_frequencies.dims[0], "D = 2 E");
    v.require(rotated >= 0 && rotated <= x.dims[1], "0 <= rotated <= M");
  }
  double flops() const { return 3.0 * x.size(); }
};

// The transposed rotation:
//   dx[t,m,d]    = dy[t,m,d] * a + dy[t,m,d+E] * b
//   dx[t,m,d+E]  = dy[t,m,d+E] * a - dy[t,m,d] * b
struct RopeBackward {
  static constexpr const char* kName = "rope_backward";
  Tensor dy, positions, inverse_frequencies, dx;
  int64_t rotated = 0;
  float scaling = 1.0f;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("dy", dy, "t[T,M,D]");
    v.in("positions", positions, "i32[T]");
    v.in("inverse_frequencies", inverse_frequencies, "f32[E]");
    v.out("dx", dx, "t[T,M,D]");
    v.scalar("rotated", rotated);
    v.scalar("scaling", scaling);
    v.require(dy.dims[2] == 2 * inverse_frequencies.dims[0], "D = 2 E");
    v.require(rotated >= 0 && rotated <= dy.dims[1], "0 <= rotated <= M");
  }
  double flops() const { return 3.0 * dy.size(); }
};

}  // namespace ww
