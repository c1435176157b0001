#include "native/cuda/kernel.cuh"
#include "native/kernels/adamw_storage.h"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256;

struct Rates {
  float beta1, rest1, beta2, rest2, grad_scale, eps, keep, rate, root;
  int64_t decayed, step;
};

Rates rates_of(const AdamwUpdate& a) {
  return {static_cast<float>(a.beta1),
          static_cast<float>(1 - a.beta1),
          static_cast<float>(a.beta2),
          static_cast<float>(1 - a.beta2),
          a.grad_scale,
          a.eps,
          1.0f - a.lr * a.weight_decay,
          a.lr / a.correction1,
          1.0f / std::sqrt(a.correction2),
          a.decayed,
          a.step};
}

__device__ __forceinline__ float next_master(float master, float grad, float& m, float& v, bool decays,
                                             const Rates& rates) {
  const float g = rates.grad_scale * grad;
  m = rates.beta1 * m + rates.rest1 * g;
  v = rates.beta2 * v + rates.rest2 * (g * g);
  // The root is taken before the correction: v / correction2 could overflow.
  return master * (decays ? rates.keep : 1.0f) - rates.rate * m / (sqrtf(v) * rates.root + rates.eps);
}

template <int kSize>
using Floats = Pack<float, kSize>;

// The master in memory. `random` has 32 bits for each element.
struct WholeMaster {
  static constexpr bool kRandom = false;
  float* weight;
  template <int kSize>
  __device__ Floats<kSize> read(int64_t i) const {
    return load<kSize>(weight + i);
  }
  template <int kSize>
  __device__ void write(int64_t i, const Floats<kSize>& masters, const uint32_t*) const {
    store(weight + i, masters);
  }
};

struct SplitMaster {
  static constexpr bool kRandom = false;
  uint16_t *weight, *low;
  template <int kSize>
  __device__ Floats<kSize> read(int64_t i) const {
    const Pack<uint16_t, kSize> weights = load<kSize>(weight + i), lows = load<kSize>(low + i);
    Floats<kSize> masters;
    for (int k = 0; k < kSize; ++k) masters[k] = join_master(weights[k], lows[k]);
    return masters;
  }
  template <int kSize>
  __device__ void write(int64_t i, const Floats<kSize>& masters, const uint32_t*) const {
    Pack<uint16_t, kSize> weights, lows;
    for (int k = 0; k < kSize; ++k) split_master(masters[k], weights[k], lows[k]);
    store(weight + i, weights);
    store(low + i, lows);
  }
};

template <int kSize>
__device__ __forceinline__ Floats<kSize> read_halves(const uint16_t* from) {
  const Pack<uint16_t, kSize> bits = load<kSize>(from);
  Floats<kSize> values;
  for (int k = 0; k < kSize; ++k) values[k] = join_master(bits[k], 0);
  return values;
}

struct NoMaster {
  static constexpr bool kRandom = true;
  uint16_t* weight;
  template <int kSize>
  __device__ Floats<kSize> read(int64_t i) const {
    return read_halves<kSize>(weight + i);
  }
  template <int kSize>
  __device__ void write(int64_t i, const Floats<kSize>& masters, const uint32_t* random) const {
    Pack<uint16_t, kSize> weights;
    for (int k = 0; k < kSize; ++k) weights[k] = round_at_random(masters[k], random[k] & 0xffffu);
    store(weight + i, weights);
  }
};

struct WholeMoments {
  static constexpr bool kRandom = false;
  float *m, *v;
  template <int kSize>
  __device__ void read(int64_t i, Floats<kSize>& ms, Floats<kSize>& vs) const {
    ms = load<kSize>(m + i);
    vs = load<kSize>(v + i);
  }
  template <int kSize>
  __device__ void write(int64_t i, const Floats<kSize>& ms, const Floats<kSize>& vs, const uint32_t*) const {
    store(m + i, ms);
    store(v + i, vs);
  }
};

struct HalfMoments {
  static constexpr bool kRandom = true;
  uint16_t *m, *v;
  template <int kSize>
  __device__ void read(int64_t i, Floats<kSize>& ms, Floats<kSize>& vs) const {
    ms = read_halves<kSize>(m + i);
    vs = read_halves<kSize>(v + i);
  }
  template <int kSize>
  __device__ void write(int64_t i, const Floats<kSize>& ms, const Floats<kSize>& vs, const uint32_t* random) const {
    Pack<uint16_t, kSize> means, squares;
    for (int k = 0; k < kSize; ++k) {
      means[k] = bfloat16(ms[k]).bits;
      squares[k] = round_at_random(vs[k], random[k] >> 16);
    }
    store(m + i, means);
    store(v + i, squares);
  }
};

// Elements [i, i + kSize): their masters and, in place, their moments.
template <int kSize, class Master>
__device__ __forceinline__ void update(const float* grad, const Master& master, int64_t i, Floats<kSize>& ms,
                                       Floats<kSize>& vs, const uint32_t* random, const Rates& rates) {
  const Floats<kSize> grads = load<kSize>(grad + i);
  Floats<kSize> masters = master.template read<kSize>(i);
  for (int k = 0; k < kSize; ++k) {
    masters[k] = next_master(masters[k], grads[k], ms[k], vs[k], i + k < rates.decayed, rates);
  }
  master.write(i, masters, random);
}

template <int kSize, class Master, class Moments>
__global__ void adamw_kernel(const float* grad, Master master, Moments moments, int64_t size, Rates rates) {
  const int64_t i = (blockIdx.x * int64_t(kThreads) + threadIdx.x) * kSize;
  if (i >= size) return;
  uint32_t random[kSize] = {};
  if constexpr (Master::kRandom || Moments::kRandom) {
    for (int k = 0; k < kSize; ++k) random[k] = random_bits(rates.step, i + k);
  }
  Floats<kSize> ms, vs;
  moments.template read<kSize>(i, ms, vs);
  update<kSize>(grad, master, i, ms, vs, random, rates);
  moments.write(i, ms, vs, random);
}

// A warp a block of moments. What lies behind the last element counts as 0.
template <int kSize, class Master>
__global__ void adamw_8bit_kernel(const float* grad, Master master, uint8_t* m, float* m_scale, uint8_t* v,
                                  float* v_scale, int64_t size, Rates rates) {
  constexpr int kPacks = Adamw8Bit::kBlock / (kWarp * kSize);
  const int64_t block = (blockIdx.x * int64_t(kThreads) + threadIdx.x) / kWarp;
  const int64_t begin = block * Adamw8Bit::kBlock + threadIdx.x % kWarp * kSize;
  if (block * Adamw8Bit::kBlock >= size) return;  // the whole warp
  const float m_before = m_scale[block], v_before = v_scale[block];

  Floats<kSize> ms[kPacks] = {}, roots[kPacks] = {};
  uint32_t random[kPacks][kSize];
  float largest_m = 0.0f, largest_root = 0.0f;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t i = begin + p * kWarp * kSize;
    if (i >= size) continue;
    const Pack<uint8_t, kSize> m_codes = load<kSize>(m + i), v_codes = load<kSize>(v + i);
    for (int k = 0; k < kSize; ++k) {
      random[p][k] = random_bits(rates.step, i + k);
      ms[p][k] = decode_first_moment(m_codes[k], m_before);
      const float root = decode_root(v_codes[k], v_before);
      roots[p][k] = root * root;
    }
    update<kSize>(grad, master, i, ms[p], roots[p], random[p], rates);
    for (int k = 0; k < kSize; ++k) {
      roots[p][k] = sqrtf(roots[p][k]);
      largest_m = fmaxf(largest_m, fabsf(ms[p][k]));
      largest_root = fmaxf(largest_root, roots[p][k]);
    }
  }
  largest_m = warp_max(largest_m);
  largest_root = warp_max(largest_root);
  if (threadIdx.x % kWarp == 0) {
    m_scale[block] = largest_m;
    v_scale[block] = largest_root;
  }

  const float m_inverse = inverse_of_scale(largest_m), v_inverse = inverse_of_scale(largest_root);
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t i = begin + p * kWarp * kSize;
    if (i >= size) continue;
    Pack<uint8_t, kSize> m_codes, v_codes;
    for (int k = 0; k < kSize; ++k) {
      m_codes[k] = encode_first_moment(ms[p][k], m_inverse);
      v_codes[k] = encode_root(roots[p][k], v_inverse, random[p][k] >> 16);
    }
    store(m + i, m_codes);
    store(v + i, v_codes);
  }
}

template <class Body>
void dispatch_master(const AdamwUpdate& a, const Body& body) {
  if (a.weight.dtype == DType::f32) return body(WholeMaster{a.weight.as<float>()});
  if (a.low.size() == 0) return body(NoMaster{a.weight.as<uint16_t>()});
  body(SplitMaster{a.weight.as<uint16_t>(), a.low.as<uint16_t>()});
}

}  // namespace

void run(const Adamw& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t size = a.grad.size();
  dispatch_master(a, [&]<class Master>(const Master& master) {
    dispatch_width<float>(size, {a.grad.data, a.weight.data, a.low.data, a.m.data, a.v.data}, [&]<int kSize>() {
      const auto launch = [&]<class Moments>(const Moments& moments) {
        launch_kernel(a.kName, adamw_kernel<kSize, Master, Moments>, {dim3(ceil_div(size, kThreads * kSize)), kThreads},
                      cuda, a.grad.as<float>(), master, moments, size, rates_of(a));
      };
      if (a.m.dtype == DType::f32) return launch(WholeMoments{a.m.as<float>(), a.v.as<float>()});
      launch(HalfMoments{a.m.as<uint16_t>(), a.v.as<uint16_t>()});
    });
  });
}

void run(const Adamw8Bit& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t size = a.grad.size();
  dispatch_master(a, [&]<class Master>(const Master& master) {
    dispatch_width<float>(size, {a.grad.data, a.weight.data, a.low.data, a.m.data, a.v.data}, [&]<int kSize>() {
      const Grid grid{dim3(ceil_div(a.m_scale.size(), kThreads / kWarp)), kThreads};
      launch_kernel(a.kName, adamw_8bit_kernel<kSize, Master>, grid, cuda, a.grad.as<float>(), master,
                    a.m.as<uint8_t>(), a.m_scale.as<float>(), a.v.as<uint8_t>(), a.v_scale.as<float>(), size,
                    rates_of(a));
    });
  });
}

}  // namespace ww::cuda
