#pragma once

#include "native/core/tensor.h"

namespace ww {

// x[n] = value      t = f32 | bf16
struct Fill {
  static constexpr const char* kName = "fill";
  Tensor x;
  float value = 0;

  template <class Visitor>
  void visit(Visitor& v) {
    v.out("x", x, "t[N]");
    v.scalar("value", value);
  }
  double flops() const { return 0; }
};

}  // namespace ww
