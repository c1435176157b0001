#include "native/kernels/adamw.h"

#include "native/cpu/simd.h"
#include "native/kernels/adamw_storage.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kChunk = 1 << 16;
static_assert(kChunk % Adamw8Bit::kBlock == 0);

// 32 random bits for each of kLanes elements from `element` on.
WW_INLINE UintVec random_lanes(int64_t step, int64_t element) {
  UintVec x;
  for (int lane = 0; lane < kLanes; ++lane) x[lane] = static_cast<uint32_t>(lane);
  return scramble<UintVec>(x + (static_cast<uint32_t>(element) + random_key(step, element)));
}

// 16 bits a lane.
WW_INLINE UintVec load_bits(const uint16_t* from, int64_t n) {
  uint16_t lanes[kLanes] = {};
  if (n < kLanes) {
    __builtin_memcpy(lanes, from, n * sizeof(uint16_t));
    from = lanes;
  }
  HalfVec bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return __builtin_convertvector(bits, UintVec);
}
WW_INLINE void store_bits(uint16_t* to, UintVec bits, int64_t n) {
  const HalfVec lanes = __builtin_convertvector(bits, HalfVec);
  __builtin_memcpy(to, &lanes, n * sizeof(uint16_t));
}

WW_INLINE void store_at_random(uint16_t* to, Vec value, UintVec random, int64_t n) {
  store_bits(to, (__builtin_bit_cast(UintVec, value) + random) >> 16, n);
}

// The master in memory.
struct WholeMaster {
  static constexpr bool kRandom = false;
  float* weight;
  Vec load(int64_t i, int64_t n) const { return WW_ISA::load(weight + i, n); }
  void store(int64_t i, int64_t n, Vec master, UintVec) const { WW_ISA::store(weight + i, master, n); }
};

// join_master and split_master, lane by lane.
struct SplitMaster {
  static constexpr bool kRandom = false;
  uint16_t *weight, *low;
  Vec load(int64_t i, int64_t n) const {
    const UintVec signed_low = (load_bits(low + i, n) ^ 0x8000u) - 0x8000u;
    return __builtin_bit_cast(Vec, (load_bits(weight + i, n) << 16) + signed_low);
  }
  void store(int64_t i, int64_t n, Vec master, UintVec) const {
    const UintVec bits = __builtin_bit_cast(UintVec, master), rounded = (bits + 0x8000u) >> 16;
    store_bits(weight + i, master == master ? rounded : UintVec{} + 0x7fc0u, n);
    store_bits(low + i, bits & 0xffffu, n);
  }
};

struct NoMaster {
  static constexpr bool kRandom = true;
  bfloat16* weight;
  Vec load(int64_t i, int64_t n) const { return WW_ISA::load(weight + i, n); }
  void store(int64_t i, int64_t n, Vec master, UintVec random) const {
    store_at_random(reinterpret_cast<uint16_t*>(weight + i), master, random & 0xffffu, n);
  }
};

// The moments of elements from `first` on.
struct WholeMoments {
  static constexpr bool kRandom = false;
  float *m, *v;
  int64_t first = 0;
  Vec load_m(int64_t i, int64_t n) const { return load(m + (i - first), n); }
  Vec load_v(int64_t i, int64_t n) const { return load(v + (i - first), n); }
  void store(int64_t i, int64_t n, Vec mean, Vec square, UintVec) const {
    WW_ISA::store(m + (i - first), mean, n);
    WW_ISA::store(v + (i - first), square, n);
  }
};

struct HalfMoments {
  static constexpr bool kRandom = true;
  bfloat16 *m, *v;
  Vec load_m(int64_t i, int64_t n) const { return load(m + i, n); }
  Vec load_v(int64_t i, int64_t n) const { return load(v + i, n); }
  void store(int64_t i, int64_t n, Vec mean, Vec square, UintVec random) const {
    WW_ISA::store(m + i, mean, n);
    store_at_random(reinterpret_cast<uint16_t*>(v + i), square, random >> 16, n);
  }
};

// Elements [begin, end), which decay alike.
template <class Master, class Moments>
void update(const AdamwUpdate& a, const Master& master, const Moments& moments, int64_t begin, int64_t end,
            float decay) {
  const float* grad = a.grad.as<float>();
  const float beta1 = static_cast<float>(a.beta1), rest1 = static_cast<float>(1 - a.beta1);
  const float beta2 = static_cast<float>(a.beta2), rest2 = static_cast<float>(1 - a.beta2);
  const float scale = a.grad_scale, eps = a.eps, keep = 1.0f - a.lr * decay, rate = a.lr / a.correction1;
  const float root = 1.0f / __builtin_sqrtf(a.correction2);
  const int64_t step = a.step;
  for_each_vector(end - begin, [=](int64_t offset, int64_t n) {
    const int64_t i = begin + offset;
    UintVec random{};
    if constexpr (Master::kRandom || Moments::kRandom) random = random_lanes(step, i);
    const Vec g = scale * load(grad + i, n);
    const Vec mean = beta1 * moments.load_m(i, n) + rest1 * g;
    const Vec square = beta2 * moments.load_v(i, n) + rest2 * (g * g);
    // The root is taken before the correction: v / correction2 could overflow.
    master.store(i, n, master.load(i, n) * keep - rate * mean / (sqrt(square) * root + eps), random);
    moments.store(i, n, mean, square, random);
  });
}

// Elements [begin, end), of which the first of all `decayed` decay.
template <class Master, class Moments>
void update_range(const AdamwUpdate& a, const Master& master, const Moments& moments, int64_t begin, int64_t end) {
  const int64_t middle = min(max(a.decayed, begin), end);
  update(a, master, moments, begin, middle, a.weight_decay);
  update(a, master, moments, middle, end, 0.0f);
}

// One block of 8-bit moments, updated as f32. What lies behind the last element counts as 0.
template <class Master>
void update_block(const Adamw8Bit& a, const Master& master, int64_t block, int64_t begin, int64_t end) {
  constexpr int64_t kBlock = Adamw8Bit::kBlock;
  uint8_t *m_codes = a.m.as<uint8_t>() + begin, *v_codes = a.v.as<uint8_t>() + begin;
  float *m_scale = a.m_scale.as<float>() + block, *v_scale = a.v_scale.as<float>() + block;
  const int64_t count = end - begin;
  uint8_t codes[2][kBlock] = {};
  float m[kBlock], v[kBlock];
  __builtin_memcpy(codes[0], m_codes, count);
  __builtin_memcpy(codes[1], v_codes, count);
  const float m_before = *m_scale, v_before = *v_scale;
  for (int64_t k = 0; k < kBlock; ++k) {
    m[k] = decode_first_moment(codes[0][k], m_before);
    const float root = decode_root(codes[1][k], v_before);
    v[k] = root * root;
  }
  update_range(a, master, WholeMoments{m, v, begin}, begin, end);

  Vec largest_m = zero(), largest_root = zero();
  for (int64_t k = 0; k < kBlock; k += kLanes) {
    const Vec mean = load(m + k), root = sqrt(load(v + k));
    store(v + k, root);
    largest_m = max(largest_m, max(mean, -mean));
    largest_root = max(largest_root, root);
  }
  *m_scale = largest(largest_m);
  *v_scale = largest(largest_root);
  const float m_inverse = inverse_of_scale(*m_scale), v_inverse = inverse_of_scale(*v_scale);
  const uint32_t key = static_cast<uint32_t>(begin) + random_key(a.step, begin);
  for (int64_t k = 0; k < kBlock; ++k) {
    codes[0][k] = encode_first_moment(m[k], m_inverse);
    codes[1][k] = encode_root(v[k], v_inverse, scramble(key + static_cast<uint32_t>(k)) >> 16);
  }
  __builtin_memcpy(m_codes, codes[0], count);
  __builtin_memcpy(v_codes, codes[1], count);
}

template <class Body>
void dispatch_master(const AdamwUpdate& a, const Body& body) {
  if (a.weight.dtype == DType::f32) return body(WholeMaster{a.weight.as<float>()});
  if (a.low.size() == 0) return body(NoMaster{a.weight.as<bfloat16>()});
  body(SplitMaster{a.weight.as<uint16_t>(), a.low.as<uint16_t>()});
}

}  // namespace

void compute(const Adamw& a, Workers& workers) {
  const int64_t N = a.grad.size();
  dispatch_master(a, [&](const auto& master) {
    workers.parallel_for(ceil_div(N, kChunk), [&](int64_t chunk, int) {
      const int64_t begin = chunk * kChunk, end = min(N, begin + kChunk);
      if (a.m.dtype == DType::f32) {
        update_range(a, master, WholeMoments{a.m.as<float>(), a.v.as<float>()}, begin, end);
      } else {
        update_range(a, master, HalfMoments{a.m.as<bfloat16>(), a.v.as<bfloat16>()}, begin, end);
      }
    });
  });
}

void compute(const Adamw8Bit& a, Workers& workers) {
  const int64_t N = a.grad.size(), kBlock = Adamw8Bit::kBlock;
  dispatch_master(a, [&](const auto& master) {
    workers.parallel_for(ceil_div(N, kChunk), [&](int64_t chunk, int) {
      const int64_t last = min(N, (chunk + 1) * kChunk);
      for (int64_t begin = chunk * kChunk; begin < last; begin += kBlock) {
        update_block(a, master, begin / kBlock, begin, min(last, begin + kBlock));
      }
    });
  });
}

}  // namespace ww::cpu::WW_ISA
