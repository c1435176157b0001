#pragma once

#include "native/core/tensor.h"

namespace ww {

// y[n] = x[n] in y's dtype, to nearest even      s, t = f32 | bf16
struct Cast {
  static constexpr const char* kName = "cast";
  Tensor x, y;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("x", x, "s[N]");
    v.out("y", y, "t[N]");
  }
  double flops() const { return 0; }
};

}  // namespace ww
