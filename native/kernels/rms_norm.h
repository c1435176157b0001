#pragma once

#include "native/core/tensor.h"

namespace ww {

// y[r,c] = x[r,c] * rstd[r] * weight[c]      rstd[r] = 1 / sqrt(mean_c(x[r,c]^2) + eps)
//
// Zhang and Sennrich, arXiv:1910.07467. R = rows (packed tokens), C = columns (hidden size), t = f32 | bf16.
// All sums are f32 whatever t is.
struct RmsNormForward {
  static constexpr const char* kName = "rms_norm_forward";
  Tensor x, weight, y, rstd;
  float eps = 1e-5f;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("x", x, "t[R,C]");
    v.in("weight", weight, "t[C]");
    v.out("y", y, "t[R,C]");
    v.out("rstd", rstd, "f32[R]");
    v.scalar("eps", eps);
  }
  double flops() const { return 4.0 * x.size(); }
};

// The residual connection and the norm behind it in one pass:
//   sum[r,c] = x[r,c] + update[r,c]      y, rstd = RmsNormForward of sum, as sum is stored
struct ResidualRmsNormForward {
  static constexpr const char* kName = "residual_rms_norm_forward";
  Tensor x, update, weight, sum, y, rstd;
  float eps = 1e-5f;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("x", x, "t[R,C]");
    v.in("update", update, "t[R,C]");
    v.in("weight", weight, "t[C]");
    v.out("sum", sum, "t[R,C]");
    v.out("y", y, "t[R,C]");
    v.out("rstd", rstd, "f32[R]");
    v.scalar("eps", eps);
  }
  double flops() const { return 5.0 * x.size(); }
};

// Of both. With g = dy * weight and n = x * rstd:
//   dx       = dresidual + rstd * (g - n * mean_c(g * n))
//   dweight += sum_r(dy * n)                      summed in a fixed order: runs repeat bit for bit
//
// In a pre-norm block x (the sum) also feeds the residual connection, whose gradient is added here rather than in a
// pass of its own. dx is the gradient of x, and of an update that was added to it.
struct RmsNormBackward {
  static constexpr const char* kName = "rms_norm_backward";
  Tensor dy, x, weight, rstd, dresidual, dx, dweight;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("dy", dy, "t[R,C]");
    v.in("x", x, "t[R,C]");
    v.in("weight", weight, "t[C]");
    v.in("rstd", rstd, "f32[R]");
    v.in("dresidual", dresidual, "t[R,C]");
    v.out("dx", dx, "t[R,C]");
    v.acc("dweight", dweight, "f32[C]");
  }
  double flops() const { return 11.0 * x.size(); }
};

}  // namespace ww
