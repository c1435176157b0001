#pragma once

// What products are computed with: 32-bit words of one number as f32, or of two bf16 that follow each other along the
// depth where the processor multiplies them in pairs.

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

template <class T>
constexpr int kPerWord = 1;
#if defined(__AVX512BF16__)
template <>
constexpr int kPerWord<bfloat16> = 2;
#endif

// sum += a * b, of words.
template <class T, class V>
WW_INLINE void multiply_add(V& sum, V a, V b) {
#if defined(__AVX512BF16__)
  if constexpr (kPerWord<T> == 2) {
    if constexpr (sizeof(V) == 64) {
      sum = (V)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
    } else {
      sum = (V)_mm256_dpbf16_ps((__m256)sum, (__m256bh)a, (__m256bh)b);
    }
    return;
  }
#endif
  sum += a * b;
}

// The same with one word for all lanes.
template <class T, class V>
WW_INLINE void multiply_add(V& sum, const float* a, V b) {
#if defined(__AVX512BF16__)
  if constexpr (kPerWord<T> == 2) {
    int32_t pair;
    __builtin_memcpy(&pair, a, sizeof pair);
    typedef int32_t Pairs __attribute__((vector_size(sizeof(V))));
    return multiply_add<T>(sum, (V)(Pairs{} + pair), b);
  }
#endif
  sum += *a * b;
}

// Lane by lane the two numbers of a word.
WW_INLINE Vec pair_words(HalfVec first, HalfVec second) {
  const UintVec low = __builtin_bit_cast(UintVec, widen(first)) >> 16;
  return __builtin_bit_cast(Vec, low | __builtin_bit_cast(UintVec, widen(second)));
}

}  // namespace ww::cpu::WW_ISA
