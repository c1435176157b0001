#pragma once

// A square of kLanes vectors turned over, or summed row by row, in registers, by exchanging blocks of 1, 2, 4, ...
// lanes.

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

template <int... I>
struct LaneNumbers {};
template <int kCount, int... I>
struct LanesUpTo : LanesUpTo<kCount - 1, kCount - 1, I...> {};
template <int... I>
struct LanesUpTo<0, I...> {
  using Numbers = LaneNumbers<I...>;
};

// Of the 2 x 2 blocks of kBlock lanes that rows a and b form, the low or high half of each row and of the other's.
template <int kBlock, bool kHigh, int... I>
WW_INLINE Vec interleave(Vec a, Vec b, LaneNumbers<I...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, (I & kBlock ? kLanes + I - (kHigh ? 0 : kBlock) : I + (kHigh ? kBlock : 0))...);
#else
  return __builtin_shuffle(a, b,
                           IntVec{(I & kBlock ? kLanes + I - (kHigh ? 0 : kBlock) : I + (kHigh ? kBlock : 0))...});
#endif
}

template <int kBlock = 1>
WW_INLINE void transpose(Vec (&rows)[kLanes]) {
  if constexpr (kBlock < kLanes) {
    constexpr typename LanesUpTo<kLanes>::Numbers lanes;
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if (i & kBlock) continue;
      const Vec a = rows[i], b = rows[i + kBlock];
      rows[i] = interleave<kBlock, false>(a, b, lanes);
      rows[i + kBlock] = interleave<kBlock, true>(a, b, lanes);
    }
    transpose<2 * kBlock>(rows);
  }
}

// Lane i is what `combine` makes of the lanes of rows[i].
template <int kBlock = 1, class Combine>
WW_INLINE Vec combine_each(Vec (&rows)[kLanes], const Combine& combine) {
  if constexpr (kBlock < kLanes) {
    constexpr typename LanesUpTo<kLanes>::Numbers lanes;
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; i += 2 * kBlock) {
      const Vec a = rows[i], b = rows[i + kBlock];
      rows[i] = combine(interleave<kBlock, false>(a, b, lanes), interleave<kBlock, true>(a, b, lanes));
    }
    return combine_each<2 * kBlock>(rows, combine);
  } else {
    return rows[0];
  }
}
WW_INLINE Vec sum_each(Vec (&rows)[kLanes]) {
  return combine_each(rows, [](Vec a, Vec b) { return a + b; });
}
WW_INLINE Vec largest_each(Vec (&rows)[kLanes]) {
  return combine_each(rows, [](Vec a, Vec b) { return max(a, b); });
}

}  // namespace ww::cpu::WW_ISA
