#include "native/kernels/adamw.h"

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kChunk = 1 << 16;

// The master in memory: f32 weights are it themselves, bf16 weights lack its low bits.
struct WholeMaster {
  float* weight;
  Vec load(int64_t i, int64_t n) const { return WW_ISA::load(weight + i, n); }
  void store(int64_t i, int64_t n, Vec master) const { WW_ISA::store(weight + i, master, n); }
};

struct SplitMaster {
  uint16_t *weight, *low;
  Vec load(int64_t i, int64_t n) const {
    float master[kLanes];
    for (int64_t k = 0; k < n; ++k) master[k] = join_master(weight[i + k], low[i + k]);
    return WW_ISA::load(master, n);
  }
  void store(int64_t i, int64_t n, Vec master) const {
    for (int64_t k = 0; k < n; ++k) split_master(master[k], weight[i + k], low[i + k]);
  }
};

// Elements [begin, end), which decay alike.
template <class Master>
void update(const Adamw& a, const Master& master, int64_t begin, int64_t end, float decay) {
  const float* grad = a.grad.as<float>();
  float *m = a.m.as<float>(), *v = a.v.as<float>();
  const float beta1 = static_cast<float>(a.beta1), rest1 = static_cast<float>(1 - a.beta1);
  const float beta2 = static_cast<float>(a.beta2), rest2 = static_cast<float>(1 - a.beta2);
  const float scale = a.grad_scale, eps = a.eps, keep = 1.0f - a.lr * decay, step = a.lr / a.correction1;
  const float root = 1.0f / __builtin_sqrtf(a.correction2);
  for_each_vector(end - begin, [=](int64_t offset, int64_t n) {
    const int64_t i = begin + offset;
    const Vec g = scale * load(grad + i, n);
    const Vec mean = beta1 * load(m + i, n) + rest1 * g;
    const Vec square = beta2 * load(v + i, n) + rest2 * (g * g);
    // The root is taken before the correction: v / correction2 could overflow.
    master.store(i, n, master.load(i, n) * keep - step * mean / (sqrt(square) * root + eps));
    store(m + i, mean, n);
    store(v + i, square, n);
  });
}

template <class Master>
void update_all(const Adamw& a, const Master& master, Workers& workers) {
  const int64_t N = a.grad.size();
  workers.parallel_for(ceil_div(N, kChunk), [&](int64_t chunk, int) {
    const int64_t begin = chunk * kChunk, end = min(N, begin + kChunk);
    const int64_t middle = min(max(a.decayed, begin), end);
    update(a, master, begin, middle, a.weight_decay);
    update(a, master, middle, end, 0.0f);
  });
}

}  // namespace

void compute(const Adamw& a, Workers& workers) {
  if (a.weight.dtype == DType::f32) return update_all(a, WholeMaster{a.weight.as<float>()}, workers);
  update_all(a, SplitMaster{a.weight.as<uint16_t>(), a.low.as<uint16_t>()}, workers);
}

}  // namespace ww::cpu::WW_ISA
