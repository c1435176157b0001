#pragma once

// The operands of a matrix product, rearranged for the tile kernel of gemm_tile.h: a panel holds the numbers of a few
// neighbouring lanes, depth by depth, so that the kernel reads it from end to end whatever the layout of the tensor
// was.

#include "native/cpu/simd.h"
#include "native/cpu/transpose.h"

namespace ww::cpu::WW_ISA {

// One side of a product: a row of the left one or a column of the right one is a lane, and the sum runs along the
// depth. One of the strides is 1.
template <class T>
struct Operand {
  const T* data;
  int64_t lanes, lane_stride, depth_stride;
  const T* end;  // of the memory that may be read
};

constexpr int64_t kRowsAtOnce = 16;

// A panel consists of 32-bit words: one number as f32, or two bf16 that follow each other along the depth where the
// processor multiplies them in pairs.
template <class T>
constexpr int kPerWord = 1;
#if defined(__AVX512BF16__)
template <>
constexpr int kPerWord<bfloat16> = 2;
#endif

// The words of numbers that follow each other along the depth of one lane: kLanes words, or of the first n numbers
// only; the rest is 0.
template <class T>
WW_INLINE Vec load_depths(const T* from) {
  if constexpr (kPerWord<T> == 1) return load(from);
  Vec words;
  __builtin_memcpy(&words, from, sizeof words);
  return words;
}
template <class T>
WW_INLINE Vec load_depths(const T* from, int64_t n) {
  if constexpr (kPerWord<T> == 1) return load(from, min(n, kLanes));
  Vec words = {};
  __builtin_memcpy(&words, from, min(n, kLanes * kPerWord<T>) * sizeof(T));
  return words;
}

// The words of neighbouring lanes at one depth. Lanes from n on hold anything.
template <class T>
WW_INLINE Vec load_lanes(const Operand<T>& from, const T* row, int64_t n, int64_t depth_left) {
  const T* end = from.end;
  const auto load_row = [end, n](const T* r) { return end - r >= kLanes ? load(r) : load_first(r, n); };
  if constexpr (kPerWord<T> == 1) {
    return load_row(row);
  } else {  // a widened bf16 has its bits in the upper half
    const UintVec low = __builtin_bit_cast(UintVec, load_row(row)) >> 16;
    if (depth_left == 1) return __builtin_bit_cast(Vec, low);
    return __builtin_bit_cast(Vec, low | __builtin_bit_cast(UintVec, load_row(row + from.depth_stride)));
  }
}

template <int64_t kCount>
WW_INLINE void store_words(float* to, Vec words) {
  if constexpr (kCount == kLanes) return store(to, words);
  __builtin_memcpy(to, &words, kCount * sizeof(float));
}

// kLanes words of kGroup lanes, at most a vector of them, where numbers along the depth are neighbours in memory.
template <class T, int64_t kWidth, int64_t kGroup>
WW_INLINE void pack_whole_block(const T* from, int64_t stride, float* to) {
  Vec rows[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i < kGroup)
      __builtin_prefetch(from + (i + kGroup) * stride);  // no row is long enough for the hardware to notice
    rows[i] = i < kGroup ? load_depths(from + i * stride) : zero();
  }
  transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) store_words<kGroup>(to + i * kWidth, rows[i]);
}

// The same for fewer lanes or a smaller depth.
template <class T, int64_t kWidth, int64_t kGroup>
__attribute__((noinline)) void pack_part_of_block(const T* from, int64_t stride, int64_t lanes, int64_t depth,
                                                  float* to) {
  Vec rows[kLanes] = {};
  for (int i = 0; i < lanes; ++i) rows[i] = load_depths(from + i * stride, depth);
  transpose(rows);
  const int64_t words = min(kLanes, ceil_div(depth, kPerWord<T>));
  for (int i = 0; i < words; ++i) store_words<kGroup>(to + i * kWidth, rows[i]);
}

template <class T, int64_t kWidth, int64_t kGroup>
void pack_along_depth(const Operand<T>& from, int64_t lane, int64_t k, int64_t depth, float* to) {
  constexpr int64_t kStep = kLanes * kPerWord<T>;
  const int64_t lanes = max(0, min(kGroup, from.lanes - lane));
  const T* first = from.data + lane * from.lane_stride + k;
  for (int64_t left = depth; left > 0; left -= kStep) {
    if (lanes == kGroup && left >= kStep) {
      pack_whole_block<T, kWidth, kGroup>(first, from.lane_stride, to);
    } else {
      pack_part_of_block<T, kWidth, kGroup>(first, from.lane_stride, lanes, left, to);
    }
    first += kStep;
    to += kLanes * kWidth;
  }
}

// Packs kGroup lanes, at most a vector of them, that are neighbours in memory.
template <class T, int64_t kWidth, int64_t kGroup>
void pack_across_lanes(const Operand<T>& from, int64_t lane, int64_t k, int64_t depth, float* to) {
  constexpr int64_t kPer = kPerWord<T>;
  const int64_t lanes = min(kGroup, from.lanes - lane);
  if (lanes <= 0) return;
  const T* row = from.data + lane + k * from.depth_stride;
  for (int64_t left = depth; left > 0; left -= kPer) {
    store_words<kGroup>(to, load_lanes(from, row, lanes, left));
    to += kWidth;
    row += kPer * from.depth_stride;
  }
}

template <class T, int64_t kWidth, int64_t kFirst = 0>
WW_INLINE void pack_groups(const Operand<T>& from, int64_t lane, int64_t k, int64_t depth, float* to) {
  constexpr int64_t kGroup = kWidth - kFirst < kLanes ? kWidth - kFirst : kLanes;
  if (from.depth_stride == 1) {
    pack_along_depth<T, kWidth, kGroup>(from, lane + kFirst, k, depth, to + kFirst);
  } else {
    pack_across_lanes<T, kWidth, kGroup>(from, lane + kFirst, k, depth, to + kFirst);
  }
  if constexpr (kFirst + kGroup < kWidth) pack_groups<T, kWidth, kFirst + kGroup>(from, lane, k, depth, to);
}

// The next kRowsAtOnce rows from depth k on that lie before depth `end`.
template <class T>
WW_INLINE void prefetch_rows(const Operand<T>& from, int64_t first_lane, int64_t last_lane, int64_t k, int64_t end) {
  constexpr int64_t kLine = 64 / sizeof(T);
  const int64_t last = min(last_lane, from.lanes);
  for (int64_t row = k; row < min(k + kRowsAtOnce, end); ++row) {
    const T* lanes = from.data + row * from.depth_stride;
    for (int64_t lane = first_lane; lane < last; lane += kLine) __builtin_prefetch(lanes + lane);
  }
}

// Panels [first, last) of depths [k, k + depth), kWidth lanes to a panel, `stride` words from one panel to the next.
// Lanes that do not exist hold anything.
template <class T, int64_t kWidth>
void pack_panels(const Operand<T>& from, int64_t first, int64_t last, int64_t k, int64_t depth, float* to,
                 int64_t stride) {
  // A row of neighbouring lanes is read for all panels before the next one. The rows may be pages apart, so that the
  // processor does not guess the next ones: it is told.
  const int64_t step = from.depth_stride == 1 ? depth : kRowsAtOnce;
  for (int64_t done = 0; done < depth; done += step) {
    if (from.depth_stride != 1) prefetch_rows(from, first * kWidth, last * kWidth, k + done + step, k + depth);
    for (int64_t panel = first; panel < last; ++panel) {
      float* words = to + (panel - first) * stride + done / kPerWord<T> * kWidth;
      pack_groups<T, kWidth>(from, panel * kWidth, k + done, min(step, depth - done), words);
    }
  }
}

}  // namespace ww::cpu::WW_ISA
