#pragma once

#include "native/core/tensor.h"

namespace ww {

// y[r,f] = silu(gate[r,f]) * up[r,f],  silu(z) = z * sigmoid(z),  gate_up[r] = [gate[r] | up[r]]
//
// Shazeer, arXiv:2002.05202. R = rows (packed tokens), F = intermediate size, G = 2 F, t = f32 | bf16.
struct SwigluForward {
  static constexpr const char* kName = "swiglu_forward";
  Tensor gate_up, y;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("gate_up", gate_up, "t[R,G]");
    v.out("y", y, "t[R,F]");
    v.require(gate_up.dims[1] == 2 * y.dims[1], "G = 2 F");
  }
  double flops() const { return 6.0 * y.size(); }
};

// With s = sigmoid(gate):
//   dgate = dy * up * s * (1 + gate * (1 - s))
//   dup   = dy * gate * s
// and y once more, which the product behind it needs for its weight's gradient: here all that it takes is at hand.
struct SwigluBackward {
  static constexpr const char* kName = "swiglu_backward";
  Tensor dy, gate_up, dgate_up, y;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("dy", dy, "t[R,F]");
    v.in("gate_up", gate_up, "t[R,G]");
    v.out("dgate_up", dgate_up, "t[R,G]");
    v.out("y", y, "t[R,F]");
    v.require(gate_up.dims[1] == 2 * dy.dims[1], "G = 2 F");
  }
  double flops() const { return 13.0 * dy.size(); }
};

}  // namespace ww
