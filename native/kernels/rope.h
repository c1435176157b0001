#pragma once

#include "native/core/tensor.h"

namespace ww {

// Rotary position embedding (Su et al., arXiv:2104.09864) in Llama's half-split form, on the first `rotated` heads, in
// place:
//   angle = positions[t] * inverse_frequencies[d],  a = scaling * cos(angle),  b = scaling * sin(angle)
//   x[t,m,d], x[t,m,d+E]  =  x[t,m,d] * a - x[t,m,d+E] * b,  x[t,m,d+E] * a + x[t,m,d] * b      for d in [0, E)
// The other heads, the values of a fused qkv, are not touched.
//
// T = packed tokens, M = heads of queries, keys and values, D = head size, E = D / 2, t = f32 | bf16. `scaling` is
// YaRN's attention factor, 1 otherwise. Angles are computed in f32.
struct RopeForward {
  static constexpr const char* kName = "rope_forward";
  Tensor x, positions, inverse_frequencies;
  int64_t rotated = 0;
  float scaling = 1.0f;

  template <class Visitor>
  void visit(Visitor& v) {
    v.update("x", x, "t[T,M,D]");
    v.in("positions", positions, "i32[T]");
    v.in("inverse_frequencies", inverse_frequencies, "f32[E]");
    v.scalar("rotated", rotated);
    v.scalar("scaling", scaling);
    v.require(x.dims[2] == 2 * inverse_frequencies.dims[0], "D = 2 E");
    v.require(rotated >= 0 && rotated <= x.dims[1], "0 <= rotated <= M");
  }
  double flops() const { return 3.0 * x.size(); }
};

// The transposed rotation:
//   dx[t,m,d], dx[t,m,d+E]  =  dx[t,m,d] * a + dx[t,m,d+E] * b,  dx[t,m,d+E] * a - dx[t,m,d] * b
// dx holds the gradient of the result, and of the argument afterwards.
struct RopeBackward {
  static constexpr const char* kName = "rope_backward";
  Tensor dx, positions, inverse_frequencies;
  int64_t rotated = 0;
  float scaling = 1.0f;

  template <class Visitor>
  void visit(Visitor& v) {
    v.update("dx", dx, "t[T,M,D]");
    v.in("positions", positions, "i32[T]");
    v.in("inverse_frequencies", inverse_frequencies, "f32[E]");
    v.scalar("rotated", rotated);
    v.scalar("scaling", scaling);
    v.require(dx.dims[2] == 2 * inverse_frequencies.dims[0], "D = 2 E");
    v.require(rotated >= 0 && rotated <= dx.dims[1], "0 <= rotated <= M");
  }
  double flops() const { return 3.0 * dx.size(); }
};

}  // namespace ww
