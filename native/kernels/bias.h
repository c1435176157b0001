#pragma once

#include "native/core/tensor.h"

namespace ww {

// x[r,f] = x[r,f] + bias[f]      in place; R = rows, F = features, t = f32 | bf16
struct BiasForward {
  static constexpr const char* kName = "bias_forward";
  Tensor x, bias;

  template <class Visitor>
  void visit(Visitor& v) {
    v.update("x", x, "t[R,F]");
    v.in("bias", bias, "t[F]");
  }
  double flops() const { return 1.0 * x.size(); }
};

// dbias[f] += sum_r dy[r,f]      summed in a fixed order
struct BiasBackward {
  static constexpr const char* kName = "bias_backward";
  Tensor dy, dbias;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("dy", dy, "t[R,F]");
    v.acc("dbias", dbias, "f32[F]");
  }
  double flops() const { return 1.0 * dy.size(); }
};

}  // namespace ww
