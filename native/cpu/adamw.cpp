#include "native/kernels/adamw.h"

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kChunk = 1 << 16;

// Elements [begin, end), which decay alike. With weight = nullptr the master is the weight.
template <class T>
void update(const Adamw& a, T* weight, int64_t begin, int64_t end, float decay) {
  const float* grad = a.grad.as<float>() + begin;
  float *master = a.master.as<float>() + begin, *m = a.m.as<float>() + begin, *v = a.v.as<float>() + begin;
  const float beta1 = static_cast<float>(a.beta1), rest1 = static_cast<float>(1 - a.beta1);
  const float beta2 = static_cast<float>(a.beta2), rest2 = static_cast<float>(1 - a.beta2);
  const float scale = a.grad_scale, eps = a.eps, keep = 1.0f - a.lr * decay, step = a.lr / a.correction1;
  const float root = 1.0f / __builtin_sqrtf(a.correction2);
  for_each_vector(end - begin, [=](int64_t i, int64_t n) {
    const Vec g = scale * load(grad + i, n);
    const Vec mean = beta1 * load(m + i, n) + rest1 * g;
    const Vec square = beta2 * load(v + i, n) + rest2 * (g * g);
    // The root is taken before the correction: v / correction2 could overflow.
    const Vec next = load(master + i, n) * keep - step * mean / (sqrt(square) * root + eps);
    store(m + i, mean, n);
    store(v + i, square, n);
    store(master + i, next, n);
    if (weight != nullptr) store(weight + begin + i, next, n);
  });
}

}  // namespace

void compute(const Adamw& a, Workers& workers) {
  const int64_t N = a.grad.size();
  dispatch_float(a.weight.dtype, [&]<class T>() {
    T* weight = a.weight.data == a.master.data ? nullptr : a.weight.as<T>();
    workers.parallel_for(ceil_div(N, kChunk), [&](int64_t chunk, int) {
      const int64_t begin = chunk * kChunk, end = min(N, begin + kChunk);
      const int64_t middle = min(max(a.decayed, begin), end);
      update(a, weight, begin, middle, a.weight_decay);
      update(a, weight, middle, end, 0.0f);
    });
  });
}

}  // namespace ww::cpu::WW_ISA
