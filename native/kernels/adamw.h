#pragma once

#include "native/core/tensor.h"

namespace ww {

// AdamW (Loshchilov and Hutter, arXiv:1711.05101) over a flat arena, with g = grad_scale * grad:
//   m      = beta1 * m + (1 - beta1) * g
//   v      = beta2 * v + (1 - beta2) * g^2
//   master = master * (1 - lr * decay) - lr * (m / correction1) / (sqrt(v / correction2) + eps)
//
// decay = weight_decay for the first `decayed` elements, 0 for the rest (biases and norms lie at the end of the arena).
// correction = 1 - beta^step. grad_scale carries the clip factor. N = parameters, t = f32 | bf16.
//
// The master is f32. With t = f32 it is the weight, and L = 0. With t = bf16 it is split: weight holds the master
// rounded to nearest, ties away from zero, low the 16 bits by which the two differ, and L = N. See split_master.
struct Adamw {
  static constexpr const char* kName = "adamw";
  Tensor grad, weight, low, m, v;
  double beta1 = 0.9, beta2 = 0.999;  // f64: 1 - f32(0.999) is 1.3e-5 short of 0.001
  float lr = 0, eps = 1e-8f, weight_decay = 0;
  float correction1 = 1, correction2 = 1, grad_scale = 1;
  int64_t decayed = 0;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visitor.in("grad", grad, "f32[N]");
    visitor.update("weight", weight, "t[N]");
    visitor.update("low", low, "u16[L]");
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
    visitor.require(low.size() == (weight.dtype == DType::bf16 ? weight.size() : 0), "L = N for bf16 and 0 for f32");
  }
  double flops() const { return 14.0 * grad.size(); }
};

// weight and low of a master, as bits. A carry out of low goes into weight, so nothing is lost.
WW_HOST_DEVICE WW_INLINE void split_master(float master, uint16_t& weight, uint16_t& low) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, master);
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  weight = is_nan ? 0x7fc0 : static_cast<uint16_t>((bits + 0x8000u) >> 16);
  low = static_cast<uint16_t>(bits);
}

WW_HOST_DEVICE WW_INLINE float join_master(uint16_t weight, uint16_t low) {
  const int32_t signed_low = static_cast<int16_t>(low);
  return __builtin_bit_cast(float, (static_cast<uint32_t>(weight) << 16) + static_cast<uint32_t>(signed_low));
}

}  // namespace ww
