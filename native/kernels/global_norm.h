#pragma once

#include "native/core/tensor.h"

namespace ww {

// norm[0] = sqrt(sum_n x[n]^2)      summed in a fixed order, partial sums in f64
struct GlobalNorm {
  static constexpr const char* kName = "global_norm";
  Tensor x, norm;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("x", x, "t[N]");
    v.out("norm", norm, "f32[1]");
  }
  double flops() const { return 2.0 * x.size(); }
};

}  // namespace ww
