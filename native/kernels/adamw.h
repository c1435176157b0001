#pragma once

#include "native/core/tensor.h"

namespace ww {

// AdamW (Loshchilov and Hutter, arXiv:1711.05101) over a flat arena, with g = grad_scale * grad:
//   m      = beta1 * m + (1 - beta1) * g
//   v      = beta2 * v + (1 - beta2) * g^2
//   master = master * (1 - lr * decay) - lr * (m / correction1) / (sqrt(v / correction2) + eps)
//   weight = round_to_t(master)
//
// decay = weight_decay for the first `decayed` elements, 0 for the rest (biases and norms lie at the end of the arena).
// correction = 1 - beta^step. grad_scale carries the clip factor. N = parameters, t = f32 | bf16; with t = f32, master
// may be the same memory as weight.
struct Adamw {
  static constexpr const char* kName = "adamw";
  Tensor grad, weight, master, m, v;
  double beta1 = 0.9, beta2 = 0.999;  // f64: 1 - f32(0.999) is 1.3e-5 short of 0.001
  float lr = 0, eps = 1e-8f, weight_decay = 0;
  float correction1 = 1, correction2 = 1, grad_scale = 1;
  int64_t decayed = 0;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.in("grad", grad, "f32[N]");
    visitor.update("weight", weight, "t[N]");
    visitor.update("master", master, "f32[N]");
    visitor.update("m", m, "f32[N]");
    visitor.update("v", v, "f32[N]");
    visitor.scalar("lr", lr);
    visitor.scalar("beta1", beta1);
    visitor.scalar("beta2", beta2);
    visitor.scalar("eps", eps);
    visitor.scalar("weight_decay", weight_decay);
    visitor.scalar("correction1", correction1);
    visitor.scalar("correction2", correction2);
    visitor.scalar("grad_scale", grad_scale);
    visitor.scalar("decayed", decayed);
  }
  double flops() const { return 14.0 * grad.size(); }
};

}  // namespace ww
