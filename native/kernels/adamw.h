#pragma once

#include "native/core/tensor.h"

namespace ww {

// AdamW (Loshchilov and Hutter, arXiv:1711.05101) over a flat arena, with g = grad_scale * grad:
//   m      = beta1 * m + (1 - beta1) * g
//   v      = beta2 * v + (1 - beta2) * g^2
//   master = master * (1 - lr * decay) - lr * (m / correction1) / (sqrt(v / correction2) + eps)
//
// decay = weight_decay for the first `decayed` elements, 0 for the rest (biases and norms lie at the end of the arena).
// correction = 1 - beta^step. grad_scale carries the clip factor. N = parameters, t, s = f32 | bf16.
//
// The master is f32. With t = f32 it is the weight, and L = 0. With t = bf16 and L = N it is split: weight holds the
// master rounded to nearest, ties away from zero, low the 16 bits by which the two differ. With t = bf16 and L = 0
// there is none: the new weight is rounded at random, so that updates smaller than a weight's last bit count on
// average.
//
// With s = bf16 m is rounded to nearest and v at random: it moves by less than its last bit. The random bits are a
// function of `step` and the element. See adamw_storage.h.
struct AdamwUpdate {
  Tensor grad, weight, low;
  double beta1 = 0.9, beta2 = 0.999;  // f64: 1 - f32(0.999) is 1.3e-5 short of 0.001
  float lr = 0, eps = 1e-8f, weight_decay = 0;
  float correction1 = 1, correction2 = 1, grad_scale = 1;
  int64_t decayed = 0, step = 0;

  template <class Visitor>
  void visit_weights(Visitor& visitor) {
    visitor.in("grad", grad, "f32[N]");
    visitor.update("weight", weight, "t[N]");
    visitor.update("low", low, "u16[L]");
    const bool may_split = weight.dtype == DType::bf16 && low.size() == weight.size();
    visitor.require(low.size() == 0 || may_split, "L = 0, or L = N for bf16 weights");
  }
  template <class Visitor>
  void visit_rates(Visitor& visitor) {
    visitor.scalar("lr", lr);
    visitor.scalar("beta1", beta1);
    visitor.scalar("beta2", beta2);
    visitor.scalar("eps", eps);
    visitor.scalar("weight_decay", weight_decay);
    visitor.scalar("correction1", correction1);
    visitor.scalar("correction2", correction2);
    visitor.scalar("grad_scale", grad_scale);
    visitor.scalar("decayed", decayed);
    visitor.scalar("step", step);
  }
  double flops() const { return 14.0 * grad.size(); }
};

struct Adamw : AdamwUpdate {
  static constexpr const char* kName = "adamw";
  Tensor m, v;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visit_weights(visitor);
    visitor.update("m", m, "s[N]");
    visitor.update("v", v, "s[N]");
    visit_rates(visitor);
  }
};

// The same with moments of 8 bits (block-wise quantisation: Dettmers et al., arXiv:2110.02861): B = ceil(N / 256)
// blocks of 256 elements each have the largest |m| and the largest sqrt(v) as f32, and each element its share of both
// in a code of 8 bits. See encode_first_moment and encode_root in adamw_storage.h.
struct Adamw8Bit : AdamwUpdate {
  static constexpr const char* kName = "adamw_8bit";
  static constexpr int64_t kBlock = 256;
  Tensor m, m_scale, v, v_scale;

  template <class Visitor>
  void visit(Visitor& visitor) {
    visit_weights(visitor);
    visitor.update("m", m, "u8[N]");
    visitor.update("m_scale", m_scale, "f32[B]");
    visitor.update("v", v, "u8[N]");
    visitor.update("v_scale", v_scale, "f32[B]");
    visit_rates(visitor);
    visitor.require(m_scale.size() == (m.size() + kBlock - 1) / kBlock, "B = N / 256, rounded up");
  }
};

}  // namespace ww
