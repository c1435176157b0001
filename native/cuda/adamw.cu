#include "native/cuda/kernel.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256;

struct Rates {
  float beta1, rest1, beta2, rest2, grad_scale, eps, keep, step, root;
  int64_t decayed;
};

__device__ __forceinline__ float next_master(float master, float grad, float& m, float& v, bool decays,
                                             const Rates& rates) {
  const float g = rates.grad_scale * grad;
  m = rates.beta1 * m + rates.rest1 * g;
  v = rates.beta2 * v + rates.rest2 * (g * g);
  // The root is taken before the correction: v / correction2 could overflow.
  return master * (decays ? rates.keep : 1.0f) - rates.step * m / (sqrtf(v) * rates.root + rates.eps);
}

template <int kSize>
__global__ void adamw_f32_kernel(const float* grad, float* weight, float* m, float* v, int64_t size, Rates rates) {
  const int64_t i = (blockIdx.x * int64_t(kThreads) + threadIdx.x) * kSize;
  if (i >= size) return;
  const Pack<float, kSize> grads = load<kSize>(grad + i);
  Pack<float, kSize> weights = load<kSize>(weight + i), ms = load<kSize>(m + i), vs = load<kSize>(v + i);
  for (int k = 0; k < kSize; ++k) {
    weights[k] = next_master(weights[k], grads[k], ms[k], vs[k], i + k < rates.decayed, rates);
  }
  store(weight + i, weights);
  store(m + i, ms);
  store(v + i, vs);
}

template <int kSize>
__global__ void adamw_bf16_kernel(const float* grad, uint16_t* weight, uint16_t* low, float* m, float* v, int64_t size,
                                  Rates rates) {
  const int64_t i = (blockIdx.x * int64_t(kThreads) + threadIdx.x) * kSize;
  if (i >= size) return;
  const Pack<float, kSize> grads = load<kSize>(grad + i);
  Pack<uint16_t, kSize> weights = load<kSize>(weight + i), lows = load<kSize>(low + i);
  Pack<float, kSize> ms = load<kSize>(m + i), vs = load<kSize>(v + i);
  for (int k = 0; k < kSize; ++k) {
    const float master = join_master(weights[k], lows[k]);
    split_master(next_master(master, grads[k], ms[k], vs[k], i + k < rates.decayed, rates), weights[k], lows[k]);
  }
  store(weight + i, weights);
  store(low + i, lows);
  store(m + i, ms);
  store(v + i, vs);
}

}  // namespace

void run(const Adamw& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t size = a.grad.size();
  const Rates rates{static_cast<float>(a.beta1),
                    static_cast<float>(1 - a.beta1),
                    static_cast<float>(a.beta2),
                    static_cast<float>(1 - a.beta2),
                    a.grad_scale,
                    a.eps,
                    1.0f - a.lr * a.weight_decay,
                    a.lr / a.correction1,
                    1.0f / std::sqrt(a.correction2),
                    a.decayed};
  dispatch_width<float>(size, {a.grad.data, a.weight.data, a.low.data, a.m.data, a.v.data}, [&]<int kSize>() {
    const Grid grid{dim3(ceil_div(size, kThreads * kSize)), kThreads};
    if (a.weight.dtype == DType::f32) {
      launch_kernel(a.kName, adamw_f32_kernel<kSize>, grid, cuda, a.grad.as<float>(), a.weight.as<float>(),
                    a.m.as<float>(), a.v.as<float>(), size, rates);
    } else {
      launch_kernel(a.kName, adamw_bf16_kernel<kSize>, grid, cuda, a.grad.as<float>(), a.weight.as<uint16_t>(),
                    a.low.as<uint16_t>(), a.m.as<float>(), a.v.as<float>(), size, rates);
    }
  });
}

}  // namespace ww::cuda
