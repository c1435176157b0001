#pragma once

// Vectors of f32 as wide as the instruction set of this compilation, written with the compiler's vector extension so
// that one source serves all of them. Loads and stores take any address.

#include "native/core/bfloat16.h"
#include "native/core/inline.h"
#include "native/cpu/kernel.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace ww::cpu::WW_ISA {

constexpr int kVectorBytes = WW_VECTOR_BYTES;
constexpr int kLanes = kVectorBytes / 4;

typedef float Vec __attribute__((vector_size(kVectorBytes)));
typedef int32_t IntVec __attribute__((vector_size(kVectorBytes)));
typedef uint32_t UintVec __attribute__((vector_size(kVectorBytes)));
typedef uint16_t HalfVec __attribute__((vector_size(kVectorBytes / 2)));

WW_INLINE Vec splat(float value) { return Vec{} + value; }
WW_INLINE Vec zero() { return Vec{}; }

WW_INLINE Vec load(const float* from) {
  Vec v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
WW_INLINE void store(float* to, Vec v) { __builtin_memcpy(to, &v, sizeof v); }

// The intrinsics here, all of one instruction, stand where GCC 12 splits the generic conversion in two.
WW_INLINE Vec widen(HalfVec bits) {
#if defined(__AVX512F__)
  const UintVec wide = (UintVec)_mm512_maskz_cvtepu16_epi32(static_cast<__mmask16>(-1), (__m256i)bits);
#else
  const UintVec wide = __builtin_convertvector(bits, UintVec);
#endif
  return __builtin_bit_cast(Vec, wide << 16);
}
WW_INLINE Vec load(const bfloat16* from) {
  HalfVec bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return widen(bits);
}

// Rounds to nearest even; a NaN stays one. With AVX512-BF16 denormals become 0, as they do in arithmetic on workers.
WW_INLINE HalfVec narrow(Vec v) {
#if defined(__AVX512BF16__)
  return __builtin_bit_cast(HalfVec, _mm512_cvtneps_pbh((__m512)v));
#else
  const UintVec u = __builtin_bit_cast(UintVec, v);
  const UintVec rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const UintVec bits = v != v ? (u >> 16) | 0x40u : rounded;
#if defined(__AVX512F__)
  return (HalfVec)_mm512_maskz_cvtepi32_epi16(static_cast<__mmask16>(-1), (__m512i)bits);
#elif defined(__AVX2__)
  return (HalfVec)_mm_packus_epi32(_mm256_castsi256_si128((__m256i)bits), _mm256_extracti128_si256((__m256i)bits, 1));
#else
  return __builtin_convertvector(bits, HalfVec);
#endif
#endif
}
WW_INLINE void store(bfloat16* to, Vec v) {
  const HalfVec bits = narrow(v);
  __builtin_memcpy(static_cast<void*>(to), &bits, sizeof bits);
}

// The first n lanes, 0 <= n <= kLanes; lanes that are not loaded are 0.
template <class T>
WW_INLINE Vec load_first(const T* from, int64_t n) {
  T lanes[kLanes] = {};
  __builtin_memcpy(static_cast<void*>(lanes), from, n * sizeof(T));
  return load(lanes);
}
template <class T>
WW_INLINE void store_first(T* to, Vec v, int64_t n) {
  T lanes[kLanes];
  store(lanes, v);
  __builtin_memcpy(static_cast<void*>(to), lanes, n * sizeof(T));
}
#if defined(__AVX512F__)
template <>
WW_INLINE Vec load_first<float>(const float* from, int64_t n) {
  return (Vec)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), from);
}
template <>
WW_INLINE void store_first<float>(float* to, Vec v, int64_t n) {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << n) - 1), (__m512)v);
}
#endif

WW_INLINE Vec max(Vec a, Vec b) { return a > b ? a : b; }

WW_INLINE Vec sqrt(Vec v) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_sqrt_ps(static_cast<__mmask16>(-1), (__m512)v);
#elif defined(__AVX2__)
  return (Vec)_mm256_sqrt_ps((__m256)v);
#else
  for (int i = 0; i < kLanes; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}

// Summed as a tree of halves: the order depends on the width only.
WW_INLINE float sum(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}
WW_INLINE float largest(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
  }
  return lanes[0];
}

constexpr float kLog2E = 1.44269504f;

// e^x within 2 units in the last place on [-87, 88]; arguments outside are clamped to it, NaN stays NaN.
WW_INLINE Vec exp(Vec x) {
  x = x < -87.0f ? splat(-87.0f) : x;
  x = x > 88.0f ? splat(88.0f) : x;
  const Vec magic = splat(12582912.0f);  // 1.5 * 2^23: adding and subtracting it rounds to an integer
  const Vec n = (x * kLog2E + magic) - magic;
  const Vec r = (x - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two parts
  Vec p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const IntVec exponent = (__builtin_convertvector(n, IntVec) + 127) << 23;
  return p * __builtin_bit_cast(Vec, exponent);
}

// 2^x within 3e-7 for x below 127, exactly 0 below -126, so that -inf is a hidden score.
WW_INLINE Vec exp2(Vec x) {
  const Vec magic = splat(12582912.0f);  // 1.5 * 2^23: adding it leaves round(x) in the low bits
  const Vec shifted = x + magic;
  const Vec r = x - (shifted - magic);
  Vec p = splat(1.32647273e-3f);
  p = p * r + 9.67151299e-3f;
  p = p * r + 5.55073358e-2f;
  p = p * r + 2.40222424e-1f;
  p = p * r + 6.93147004e-1f;
  p = p * r + 1.0f;
  const Vec power =
      __builtin_bit_cast(Vec, __builtin_bit_cast(IntVec, p) + (__builtin_bit_cast(IntVec, shifted) << 23));
  return x < -126.0f ? zero() : power;
}

WW_INLINE Vec sigmoid(Vec x) { return 1.0f / (1.0f + exp(-x)); }

// Calls body(i, n) for every vector of a row of `count` numbers: n = kLanes, and what is left for the last.
template <class Body>
WW_INLINE void for_each_vector(int64_t count, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, static_cast<int64_t>(kLanes));
  if (i < count) body(i, count - i);
}
template <class T>
WW_INLINE Vec load(const T* from, int64_t n) {
  return n == kLanes ? load(from) : load_first(from, n);
}
template <class T>
WW_INLINE void store(T* to, Vec v, int64_t n) {
  if (n == kLanes) return store(to, v);
  store_first(to, v, n);
}

}  // namespace ww::cpu::WW_ISA
