#pragma once

// The operands of a matrix product, rearranged for the tile kernel of gemm_tile.h: a panel holds the numbers of a few
// neighbouring lanes, depth by depth, so that the kernel reads it from end to end whatever the layout of the tensor
// was.

#include "native/cpu/transpose.h"
#include "native/cpu/words.h"

namespace ww::cpu::WW_ISA {

// One side of a product: a row of the left one or a column of the right one is a lane, and the sum runs along the
// depth. One of the strides is 1.
template <class T>
struct Operand {
  const T* data;
  int64_t lanes, lane_stride, depth_stride;
  const T* end;  // of the memory that may be read
};

// Whether the processor multiplies numbers of T in tiles of 16 rows of 16 words (AMX).
template <class T>
constexpr bool kInTiles = false;
#if defined(__AMX_BF16__)
template <>
constexpr bool kInTiles<bfloat16> = true;
#endif
constexpr int64_t kTileWords = 16;

// Of the depth, what a panel holds a multiple of; what does not exist is 0 there.
template <class T>
constexpr int64_t kDepthUnit = kInTiles<T> ? kTileWords * kPerWord<T> : kPerWord<T>;

template <class T>
constexpr int64_t kRowsAtOnce = kInTiles<T> ? kDepthUnit<T> : 16;

enum class Side { rows, columns };

// With two vectors of columns the sums fill three quarters of the registers; two by two tiles fill half of the tiles.
#if defined(__aarch64__)
constexpr int kTileRows = 12;
#else
constexpr int kTileRows = kVectorBytes == 64 ? 12 : kVectorBytes == 32 ? 6 : 4;
#endif
constexpr int kTileColumns = 2 * kLanes;
template <class T, Side kSide>
constexpr int64_t kPanelLanes = kInTiles<T>           ? 2 * kTileWords
                                : kSide == Side::rows ? kTileRows
                                                      : kTileColumns;

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
  const int64_t words = kInTiles<T> ? kLanes : min(kLanes, ceil_div(depth, kPerWord<T>));
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
  if constexpr (kInTiles<T>) {
    for (int64_t words = ceil_div(depth, kPer); words % kTileWords != 0; ++words, to += kWidth) {
      store_words<kGroup>(to, zero());
    }
  }
}

// Tiles take the left operand row by row: a panel is [words / 16, lanes, 16 words].
template <class T>
void pack_tile_rows(const Operand<T>& from, int64_t first, int64_t k, int64_t depth, float* to) {
  constexpr int64_t kPer = kPerWord<T>;
  for (int64_t left = depth; left > 0; left -= kDepthUnit<T>, k += kDepthUnit<T>) {
    for (int64_t lane = first; lane < first + kPanelLanes<T, Side::rows>; lane += kLanes) {
      const int64_t lanes = max(0, min(kLanes, from.lanes - lane));
      const T* corner = from.data + lane * from.lane_stride + k * from.depth_stride;
      Vec rows[kLanes] = {};
      if (from.depth_stride != 1) {
        for (int64_t word = 0; lanes > 0 && word < kLanes && word * kPer < left; ++word) {
          rows[word] = load_lanes(from, corner + word * kPer * from.depth_stride, lanes, left - word * kPer);
        }
        transpose(rows);
      } else if (left >= kDepthUnit<T>) {
        for (int64_t i = 0; i < lanes; ++i) rows[i] = load_depths(corner + i * from.lane_stride);
      } else {
        for (int64_t i = 0; i < lanes; ++i) rows[i] = load_depths(corner + i * from.lane_stride, left);
      }
      for (int64_t i = 0; i < kLanes; ++i, to += kTileWords) store(to, rows[i]);
    }
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

// The next rows from depth k on that lie before depth `end`.
template <class T>
WW_INLINE void prefetch_rows(const Operand<T>& from, int64_t first_lane, int64_t last_lane, int64_t k, int64_t end) {
  constexpr int64_t kLine = 64 / sizeof(T);
  const int64_t last = min(last_lane, from.lanes);
  for (int64_t row = k; row < min(k + kRowsAtOnce<T>, end); ++row) {
    const T* lanes = from.data + row * from.depth_stride;
    for (int64_t lane = first_lane; lane < last; lane += kLine) __builtin_prefetch(lanes + lane);
  }
}

// Panels [first, last) of depths [k, k + depth), `stride` words from one panel to the next. Lanes that do not exist
// hold anything.
template <class T, Side kSide>
void pack_panels(const Operand<T>& from, int64_t first, int64_t last, int64_t k, int64_t depth, float* to,
                 int64_t stride) {
  constexpr int64_t kWidth = kPanelLanes<T, kSide>;
  // A row of neighbouring lanes is read for all panels before the next one. The rows may be pages apart, so that the
  // processor does not guess the next ones: it is told.
  const int64_t step = from.depth_stride == 1 ? depth : kRowsAtOnce<T>;
  for (int64_t done = 0; done < depth; done += step) {
    if (from.depth_stride != 1) prefetch_rows(from, first * kWidth, last * kWidth, k + done + step, k + depth);
    for (int64_t panel = first; panel < last; ++panel) {
      float* words = to + (panel - first) * stride + done / kPerWord<T> * kWidth;
      if constexpr (kInTiles<T> && kSide == Side::rows) {
        pack_tile_rows(from, panel * kWidth, k + done, min(step, depth - done), words);
      } else {
        pack_groups<T, kWidth>(from, panel * kWidth, k + done, min(step, depth - done), words);
      }
    }
  }
}

}  // namespace ww::cpu::WW_ISA
