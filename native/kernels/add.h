#pragma once

#include "native/core/tensor.h"

namespace ww {

// y[r,c] = a[r,c] + b[r,c]      the residual connection; t = f32 | bf16. Its gradient is dy for both.
struct Add {
  static constexpr const char* kName = "add";
  Tensor a, b, y;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("a", a, "t[R,C]");
    v.in("b", b, "t[R,C]");
    v.out("y", y, "t[R,C]");
  }
  double flops() const { return 1.0 * y.size(); }
};

}  // namespace ww
