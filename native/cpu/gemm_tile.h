#pragma once

// The tile kernel: the part of a product that fits into registers, from one panel of each operand.

#include "native/cpu/gemm_pack.h"

namespace ww::cpu::WW_ISA {

// to[i, j] = from[i, j] + sum_w a[w, i] * b[w, j], without `from` if it is null.
template <class Out>
struct Tile {
  int64_t words;
  const float *a, *b;  // panels of gemm_pack.h
  const float* from;
  int64_t from_stride;
  Out* to;
  int64_t to_stride, rows, columns;
  int64_t a_stride = 0;  // of Left::rows: words from one piece to the next
};

// How the left operand lies: as a panel, or as pieces of kRowWords words of every row, [words / kRowWords, rows,
// kRowWords]. The latter is a panel of columns of another product whose rows are the depth of this one.
enum class Left { panel, rows };

template <class T>
constexpr int64_t kRowWords = kTileColumns / kPerWord<T>;

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

template <class T, Left kLeft, int kRows, int kVectors, class Out>
__attribute__((noinline)) void multiply_tile(const Tile<Out>& tile) {
  constexpr int64_t kLaneStride = kLeft == Left::panel ? 1 : kRowWords<T>;
  constexpr int64_t kWordStride = kLeft == Left::panel ? kTileRows : 1;
  Vec sums[kRows][kVectors] = {};
  const float *a = tile.a, *b = tile.b;
  for (int64_t i = 0; i < tile.rows; ++i) {  // where the results go, in time
    __builtin_prefetch(tile.to + i * tile.to_stride, 1);
    __builtin_prefetch(tile.to + i * tile.to_stride + kLanes, 1);
  }
  const int64_t piece = kLeft == Left::panel ? tile.words : kRowWords<T>;
  for (const float* piece_of_a = a; b < tile.b + tile.words * kTileColumns; piece_of_a += tile.a_stride) {
    a = piece_of_a;
    for (int64_t left = piece; left > 0; --left) {
      Vec row[kVectors];
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) row[j] = load(b + j * kLanes);
#pragma GCC unroll 12
      for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) multiply_add<T>(sums[i][j], a + i * kLaneStride, row[j]);
      }
      a += kWordStride;
      b += kTileColumns;
    }
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

#if defined(__AMX_BF16__)
// The same out of the processor's tiles: two of rows by two of columns.
template <Left kLeft, class Out>
__attribute__((noinline)) void multiply_in_tiles(const Tile<Out>& tile) {
  constexpr int64_t kSide = 2 * kTileWords;
  const int64_t a_stride = kLeft == Left::panel ? kSide * kTileWords : tile.a_stride;
  const float *a = tile.a, *b = tile.b;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t left = tile.words; left > 0; left -= kTileWords) {
    _tile_loadd(4, a, kTileWords * sizeof(float));
    _tile_loadd(5, a + kTileWords * kTileWords, kTileWords * sizeof(float));
    _tile_loadd(6, b, kSide * sizeof(float));
    _tile_loadd(7, b + kTileWords, kSide * sizeof(float));
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    a += a_stride;
    b += kSide * kTileWords;
  }
  alignas(64) float sums[kSide * kSide];
  constexpr int64_t kStride = kSide * sizeof(float);
  _tile_stored(0, sums, kStride);
  _tile_stored(1, sums + kTileWords, kStride);
  _tile_stored(2, sums + kTileWords * kSide, kStride);
  _tile_stored(3, sums + kTileWords * kSide + kTileWords, kStride);
  asm volatile("" ::: "memory");  // GCC 12 does not know that tiles are stored to it
  if (tile.rows < kSide || tile.columns < kSide) return store_part(tile, sums, kSide);
  for (int64_t i = 0; i < kSide; ++i) {
    for (int64_t j = 0; j < kSide; j += kLanes) {
      Vec sum = load(sums + i * kSide + j);
      if (tile.from != nullptr) sum += load(tile.from + i * tile.from_stride + j);
      store(tile.to + i * tile.to_stride + j, sum);
    }
  }
}
#endif

// Calls body() with the processor's tiles set up for products of T, which are then cleared so that they are not saved
// with the thread. Body must not throw.
template <class T, class Body>
WW_INLINE void with_tiles(const Body& body) {
#if defined(__AMX_BF16__)
  if constexpr (kInTiles<T>) {
    alignas(64)
        uint8_t config[64] = {1};  // palette 1; from byte 16 on 2 bytes a tile: bytes of a row; from 48 on: rows
    for (int tile = 0; tile < 8; ++tile) {
      config[16 + 2 * tile] = kTileWords * sizeof(float);
      config[48 + tile] = kTileWords;
    }
    asm volatile("ldtilecfg %0" ::"m"(config));
    body();
    _tile_release();
    return;
  }
#endif
  body();
}

// A tile with fewer rows or columns than a whole one runs through the smallest kernel that holds it.
template <class T, Left kLeft = Left::panel, int kRows = kTileRows, class Out>
WW_INLINE void multiply_tile_of(const Tile<Out>& tile) {
#if defined(__AMX_BF16__)
  if constexpr (kInTiles<T>) return multiply_in_tiles<kLeft>(tile);
#endif
  constexpr int kFewer = kRows > 8 ? 8 : kRows / 2;
  if constexpr (kFewer > 0) {
    if (tile.rows <= kFewer) return multiply_tile_of<T, kLeft, kFewer>(tile);
  }
  if (tile.columns > kLanes) return multiply_tile<T, kLeft, kRows, 2>(tile);
  multiply_tile<T, kLeft, kRows, 1>(tile);
}

}  // namespace ww::cpu::WW_ISA
