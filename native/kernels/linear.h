#pragma once

#include "native/core/tensor.h"

namespace ww {

// y[r,f] = sum_c x[r,c] * weight[f,c]
//
// R = rows (packed tokens), C = input features, F = output features, t = f32 | bf16; weights lie as Hugging Face stores
// them, [out, in]. Sums are f32 whatever t is. On the CPU they depend neither on R nor on the number of threads; on
// CUDA a run repeats on the same GPU, but a row may differ in its last digit from the same row in a batch of another
// length.
struct LinearForward {
  static constexpr const char* kName = "linear_forward";
  Tensor x, weight, y;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("x", x, "t[R,C]");
    v.in("weight", weight, "t[F,C]");
    v.out("y", y, "t[R,F]");
  }
  double flops() const { return 2.0 * x.size() * weight.dims[0]; }
};

// dx[r,c] = sum_f dy[r,f] * weight[f,c]
struct LinearBackwardInput {
  static constexpr const char* kName = "linear_backward_input";
  Tensor dy, weight, dx;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("dy", dy, "t[R,F]");
    v.in("weight", weight, "t[F,C]");
    v.out("dx", dx, "t[R,C]");
  }
  double flops() const { return 2.0 * dy.size() * weight.dims[1]; }
};

// dweight[f,c] += sum_r dy[r,f] * x[r,c]
struct LinearBackwardWeight {
  static constexpr const char* kName = "linear_backward_weight";
  Tensor dy, x, dweight;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("dy", dy, "t[R,F]");
    v.in("x", x, "t[R,C]");
    v.acc("dweight", dweight, "f32[F,C]");
  }
  double flops() const { return 2.0 * dy.size() * x.dims[1]; }
};

}  // namespace ww
