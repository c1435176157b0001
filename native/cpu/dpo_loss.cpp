#include "native/kernels/dpo_loss.h"

#include "native/cpu/kernel.h"

namespace ww::cpu::WW_ISA {

// On one thread: a step has tens of pairs.
void compute(const DpoLoss& a, Workers&) {
  for (int64_t p = 0; p < a.loss.size(); ++p) {
    const auto at = [p](const Tensor& t) -> float& { return t.as<float>()[p]; };
    const float chosen = a.beta * (at(a.policy_chosen) - at(a.ref_chosen));
    const float rejected = a.beta * (at(a.policy_rejected) - at(a.ref_rejected));
    const DpoPair pair = dpo_pair(chosen - rejected, a.label_smoothing);
    const float dpolicy = a.grad_scale * a.beta * pair.dmargin;
    at(a.loss) = pair.loss;
    at(a.chosen_reward) = chosen;
    at(a.rejected_reward) = rejected;
    at(a.dpolicy_chosen) = dpolicy;
    at(a.dpolicy_rejected) = -dpolicy;
  }
}

}  // namespace ww::cpu::WW_ISA
