#pragma once

// The tile kernel: the part of a product that fits into registers, from one panel of each operand.

#include "native/cpu/gemm_pack.h"

namespace ww::cpu::WW_ISA {

// With two vectors of columns the sums fill three quarters of the registers.
#if defined(__aarch64__)
constexpr int kTileRows = 12;
#else
constexpr int kTileRows = kVectorBytes == 64 ? 12 : kVectorBytes == 32 ? 6 : 4;
#endif
constexpr int kTileColumns = 2 * kLanes;

// to[i, j] = from[i, j] + sum_w a[w, i] * b[w, j], without `from` if it is null.
template <class Out>
struct Tile {
  int64_t words;
  const float *a, *b;  // panels: [words, kTileRows], [words, kTileColumns]
  const float* from;
  int64_t from_stride;
  Out* to;
  int64_t to_stride, rows, columns;
};

template <class T>
WW_INLINE void multiply_add(Vec& sum, const float* a, Vec b) {
#if defined(__AVX512BF16__)
  if constexpr (kPerWord<T> == 2) {
    int32_t pair;
    __builtin_memcpy(&pair, a, sizeof pair);
    sum = (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)b);
    return;
  }
#endif
  sum += *a * b;
}

// Of sums [.., stride], those that are in the product. Apart from the kernel, which calls nothing and so spills
// nothing.
template <class Out>
__attribute__((noinline)) void store_part(const Tile<Out>& tile, const float* sums, int64_t stride) {
  for (int64_t i = 0; i < tile.rows; ++i) {
    for_each_vector(tile.columns, [&](int64_t j, int64_t n) {
      Vec sum = load(sums + i * stride + j);
      if (tile.from != nullptr) sum += load(tile.from + i * tile.from_stride + j, n);
      store(tile.to + i * tile.to_stride + j, sum, n);
    });
  }
}

template <class T, int kRows, int kVectors, class Out>
__attribute__((noinline)) void multiply_tile(const Tile<Out>& tile) {
  Vec sums[kRows][kVectors] = {};
  const float *a = tile.a, *b = tile.b;
  for (int64_t i = 0; i < tile.rows; ++i) {  // where the results go, in time
    __builtin_prefetch(tile.to + i * tile.to_stride, 1);
    __builtin_prefetch(tile.to + i * tile.to_stride + kLanes, 1);
  }
  for (int64_t left = tile.words; left > 0; --left) {
    Vec row[kVectors];
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) row[j] = load(b + j * kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) multiply_add<T>(sums[i][j], a + i, row[j]);
    }
    a += kTileRows;
    b += kTileColumns;
  }

  if (tile.rows < kRows || tile.columns < kVectors * kLanes) {
    float all[kRows * kVectors * kLanes];
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) store(all + (i * kVectors + j) * kLanes, sums[i][j]);
    }
    return store_part(tile, all, kVectors * kLanes);
  }
  const float* from = tile.from;
  Out* to = tile.to;
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) {
      if (from != nullptr) sums[i][j] += load(from + j * kLanes);
      store(to + j * kLanes, sums[i][j]);
    }
    if (from != nullptr) from += tile.from_stride;
    to += tile.to_stride;
  }
}

// A tile with fewer rows or columns than a whole one runs through the smallest kernel that holds it.
template <class T, int kRows = kTileRows, class Out>
WW_INLINE void multiply_tile_of(const Tile<Out>& tile) {
  constexpr int kFewer = kRows > 8 ? 8 : kRows / 2;
  if constexpr (kFewer > 0) {
    if (tile.rows <= kFewer) return multiply_tile_of<T, kFewer>(tile);
  }
  if (tile.columns > kLanes) return multiply_tile<T, kRows, 2>(tile);
  multiply_tile<T, kRows, 1>(tile);
}

}  // namespace ww::cpu::WW_ISA
