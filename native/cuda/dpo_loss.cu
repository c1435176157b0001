#include "native/cuda/kernel.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 128;

__global__ void dpo_loss_kernel(DpoLoss a, int64_t P) {
  const int64_t p = blockIdx.x * int64_t(kThreads) + threadIdx.x;
  if (p >= P) return;
  const float chosen = a.beta * (a.policy_chosen.as<float>()[p] - a.ref_chosen.as<float>()[p]);
  const float rejected = a.beta * (a.policy_rejected.as<float>()[p] - a.ref_rejected.as<float>()[p]);
  const DpoPair pair = dpo_pair(chosen - rejected, a.label_smoothing);

  // dm/dchosen = beta and dm/drejected = -beta, so the two gradients are one number and its negative.
  const float dlogp = a.grad_scale * a.beta * pair.dmargin;
  a.loss.as<float>()[p] = pair.loss;
  a.chosen_reward.as<float>()[p] = chosen;
  a.rejected_reward.as<float>()[p] = rejected;
  a.dpolicy_chosen.as<float>()[p] = dlogp;
  a.dpolicy_rejected.as<float>()[p] = -dlogp;
}

}  // namespace

void run(const DpoLoss& a, Stream& stream) {
  const int64_t P = a.loss.size();
  launch_kernel(a.kName, dpo_loss_kernel, {dim3(ceil_div(P, kThreads)), kThreads}, static_cast<CudaStream&>(stream), a,
                P);
}

}  // namespace ww::cuda
