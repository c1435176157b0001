#pragma once

#include <cmath>

#include "native/core/tensor.h"

namespace ww {

// DPO (Rafailov et al., arXiv:2305.18290, eq. 7) with conservative label smoothing e. P = preference pairs.
//
//   chosen_reward   = beta * (policy_chosen - ref_chosen)
//   rejected_reward = beta * (policy_rejected - ref_rejected)
//   m               = chosen_reward - rejected_reward
//   loss            = -(1 - e) * log_sigmoid(m) - e * log_sigmoid(-m)
//   dpolicy_chosen  = grad_scale * beta * dloss/dm,   dpolicy_rejected = -dpolicy_chosen
//
// Forward and backward are one launch: everything dloss/dlogp needs is already in a register.
// `grad_scale` is 1 / (pairs in the whole optimiser step).
struct DpoLoss {
  static constexpr const char* kName = "dpo_loss";
  Tensor policy_chosen, policy_rejected, ref_chosen, ref_rejected;
  Tensor loss, chosen_reward, rejected_reward, dpolicy_chosen, dpolicy_rejected;
  float beta = 0.1f, label_smoothing = 0.0f, grad_scale = 1.0f;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("policy_chosen", policy_chosen, "f32[P]");
    v.in("policy_rejected", policy_rejected, "f32[P]");
    v.in("ref_chosen", ref_chosen, "f32[P]");
    v.in("ref_rejected", ref_rejected, "f32[P]");
    v.out("loss", loss, "f32[P]");
    v.out("chosen_reward", chosen_reward, "f32[P]");
    v.out("rejected_reward", rejected_reward, "f32[P]");
    v.out("dpolicy_chosen", dpolicy_chosen, "f32[P]");
    v.out("dpolicy_rejected", dpolicy_rejected, "f32[P]");
    v.scalar("beta", beta);
    v.scalar("label_smoothing", label_smoothing);
    v.scalar("grad_scale", grad_scale);
  }
  double flops() const { return 20.0 * loss.size(); }
};

// Both forms stay finite for |m| beyond 88, where expf(-m) overflows.
WW_HOST_DEVICE WW_INLINE float log_sigmoid(float m) { return (m < 0.0f ? m : 0.0f) - log1pf(expf(-fabsf(m))); }
WW_HOST_DEVICE WW_INLINE float sigmoid(float m) {
  const float e = expf(-fabsf(m));
  return (m >= 0.0f ? 1.0f : e) / (1.0f + e);
}

struct DpoPair {
  float loss, dmargin;
};

// One pair's loss and dloss/dm. The maths lives here once; a backend owns only the loop over pairs.
WW_HOST_DEVICE WW_INLINE DpoPair dpo_pair(float m, float smoothing) {
  const float loss = -(1.0f - smoothing) * log_sigmoid(m) - smoothing * log_sigmoid(-m);
  const float dmargin = -(1.0f - smoothing) * sigmoid(-m) + smoothing * sigmoid(m);
  return {loss, dmargin};
}

}  // namespace ww
