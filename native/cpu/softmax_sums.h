#pragma once

// What attention over a cache sums: the softmax of one block of keys after the other, each for itself, and their join.

#include "native/cpu/attention_tiles.h"

namespace ww::cpu::WW_ISA {

constexpr float kLowest = -3.0e38f;  // finite, so that the difference of two is not NaN

// Keys of a block. Blocks begin at multiples of it, and a query's result is joined from its blocks in order, whoever
// computes them and however many queries share the loads.
constexpr int64_t kBlock = 128;

// Of each row: sum_j 2^(score - top) * values[j, :], and what that is to be divided by; total is 0 without a key.
struct Sums {
  float *y, *top, *total;  // [rows, padded], [rows], [rows]
  int64_t padded;

  static int64_t size(int64_t rows, int64_t padded) { return rows * (padded + 2); }
  Sums(float* memory, int64_t rows, int64_t padded)
      : y(memory), top(y + rows * padded), total(top + rows), padded(padded) {}

  void clear(int64_t rows) const {
    for (int64_t i = 0; i < rows * padded; i += kLanes) store(y + i, zero());
    for (int64_t r = 0; r < rows; ++r) {
      top[r] = kLowest;
      total[r] = 0.0f;
    }
  }
};

// Functions that round are not inlined, so that their callers round alike.
static __attribute__((noinline)) void join_row(const Sums& to, const Sums& from, int64_t r) {
  if (from.total[r] == 0.0f) return;
  const float top = to.top[r] > from.top[r] ? to.top[r] : from.top[r];
  const Vec shrink = exp2(splat(to.top[r] - top)), other_shrink = exp2(splat(from.top[r] - top));
  float *y = to.y + r * to.padded, *other = from.y + r * to.padded;
  for (int64_t d = 0; d < to.padded; d += kLanes) store(y + d, load(y + d) * shrink + load(other + d) * other_shrink);
  to.total[r] = to.total[r] * shrink[0] + from.total[r] * other_shrink[0];
  to.top[r] = top;
}

// The scores of keys [begin, end) become 2^(score * scale - top), those of the lanes beside them 0.
static __attribute__((noinline)) void softmax_row(float* scores, int64_t begin, int64_t end, float scale, float* top,
                                                  float* total) {
  IntVec key{};
  for (int i = 0; i < kLanes; ++i) key[i] = i;
  const int64_t first = begin / kLanes * kLanes;
  const IntVec least = IntVec{} + static_cast<int32_t>(begin), bound = IntVec{} + static_cast<int32_t>(end);
  Vec most = splat(-__builtin_inff());
  for (int64_t j = first; j < end; j += kLanes) {
    const IntVec keys = key + static_cast<int32_t>(j);
    Vec score = load(scores + j) * scale;
    score = keys >= least ? score : splat(-__builtin_inff());
    score = keys < bound ? score : splat(-__builtin_inff());
    store(scores + j, score);
    most = max(most, score);
  }
  *top = largest(most);
  Vec sums = zero();
  for (int64_t j = first; j < end; j += kLanes) {
    const Vec p = exp2(load(scores + j) - *top);
    store(scores + j, p);
    sums += p;
  }
  *total = sum(sums);
}

// Values in rows of whole vectors.
struct PackedValues {
  const float* rows;
  int64_t padded;

  WW_INLINE Vec at(int64_t j, int64_t d) const { return load(rows + j * padded + d); }
  WW_INLINE void fetch(int64_t, int64_t) const {}
};

// Values where they are in the cache. While they are read, the keys of the next block are on their way from memory.
template <class T>
struct CachedValues {
  const T *cache, *next_keys;
  const int64_t *places, *next_places;
  int64_t D;

  WW_INLINE Vec at(int64_t j, int64_t d) const { return load_channels(cache + places[j] + d, D - d); }
  WW_INLINE void fetch(int64_t j, int64_t d) const { __builtin_prefetch(next_keys + next_places[j] + d); }
};

// y[r, :] += sum_j p[r, j] * values[j, :] for keys [begin, end), one after the other: the same bits in one call or
// more.
template <int kVectors, int kRows, class Values>
__attribute__((noinline)) void add_values_tile(const float* p, const Values& values, int64_t begin, int64_t end,
                                               int64_t padded, int64_t d, float* y) {
  Vec sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[i][v] = load(y + i * padded + d + v * kLanes);
  }
  for (int64_t j = begin; j < end; ++j) {
    Vec row[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      values.fetch(j, d + v * kLanes);
      row[v] = values.at(j, d + v * kLanes);
    }
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[i][v] += p[i * kBlock + j] * row[v];
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(y + i * padded + d + v * kLanes, sums[i][v]);
  }
}

template <class Values, int kRows = kTileRows>
void add_values(int64_t rows, const float* p, const Values& values, int64_t begin, int64_t end, int64_t padded,
                float* y) {
  if (begin >= end) return;
  if (rows == kRows) {
    int64_t d = 0;
    if constexpr (4 * kRows <= 2 * kTileRows) {
      for (; d + 3 * kLanes < padded; d += 4 * kLanes) add_values_tile<4, kRows>(p, values, begin, end, padded, d, y);
    }
    for (; d + kLanes < padded; d += 2 * kLanes) add_values_tile<2, kRows>(p, values, begin, end, padded, d, y);
    if (d < padded) add_values_tile<1, kRows>(p, values, begin, end, padded, d, y);
  } else if constexpr (kRows > 1) {
    add_values<Values, kRows - 1>(rows, p, values, begin, end, padded, y);
  }
}

}  // namespace ww::cpu::WW_ISA
