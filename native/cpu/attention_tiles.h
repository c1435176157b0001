#pragma once

// What attention on the CPU is built from. A panel is two vectors of queries, one query to a lane: scores, softmax and
// sums over keys then need no reduction across lanes, and no head size leaves lanes idle. Keys and values are read as
// scalars, so they are never transposed.

#include "native/cpu/pieces.h"
#include "native/cpu/simd.h"
#include "native/cpu/transpose.h"
#include "native/cpu/words.h"

namespace ww::cpu::WW_ISA {

constexpr int kPanel = 2 * kLanes;
constexpr int kTileRows = kVectorBytes == 64 ? 12 : 6;  // with two vectors each, the sums fill 3/4 of the registers

constexpr int kHalfLanes = kLanes >= 8 ? kLanes / 2 : kLanes;
typedef float HalfWidthVec __attribute__((vector_size(4 * kHalfLanes)));

// ln x for normal x > 0; the series of Cephes' logf.
WW_INLINE Vec log_of_positive(Vec x) {
  const IntVec bits = __builtin_bit_cast(IntVec, x) - 0x3f3504f3;  // 1 / sqrt 2: the rest lies in [1 / sqrt 2, sqrt 2)
  const Vec exponent = __builtin_convertvector(bits >> 23, Vec);
  const Vec r = __builtin_bit_cast(Vec, (bits & 0x7fffff) + 0x3f3504f3) - 1.0f;
  Vec p = splat(7.0376836292e-2f);
  p = p * r - 1.1514610310e-1f;
  p = p * r + 1.1676998740e-1f;
  p = p * r - 1.2420140846e-1f;
  p = p * r + 1.4249322787e-1f;
  p = p * r - 1.6668057665e-1f;
  p = p * r + 2.0000714765e-1f;
  p = p * r - 2.4999993993e-1f;
  p = p * r + 3.3333331174e-1f;
  return exponent * 0.693147181f + (r + r * r * (p * r - 0.5f));
}

// Lanes from n on hold anything: what follows in the tensor that ends at `end`, if there is enough of it.
template <class T>
WW_INLINE Vec load_some(const T* from, int64_t n, const T* end) {
  return end - from >= kLanes ? load(from) : load_first(from, n);
}

// A vector of a head's channels of which n are left; lanes beyond them are 0 and are not stored. Where no mask can be
// had, half a vector at least is a copy of known size.
template <class T>
WW_INLINE Vec load_channels(const T* from, int64_t n) {
  if (n >= kLanes) return load(from);
  if (n != kHalfLanes || kVectorBytes == 64) return load_first(from, n);
  T lanes[kLanes] = {};
  __builtin_memcpy(static_cast<void*>(lanes), from, kHalfLanes * sizeof(T));
  return load(lanes);
}
template <class T>
WW_INLINE void store_channels(T* to, Vec v, int64_t n) {
  if (n >= kLanes) return store(to, v);
  if (n != kHalfLanes || kVectorBytes == 64) return store_first(to, v, n);
  T lanes[kLanes];
  store(lanes, v);
  __builtin_memcpy(static_cast<void*>(to), lanes, kHalfLanes * sizeof(T));
}
#if defined(__AVX512BW__) && defined(__AVX512VL__)
WW_INLINE Vec load_channels(const bfloat16* from, int64_t n) {
  if (n >= kLanes) return load(from);
  return widen((HalfVec)_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << n) - 1), from));
}
WW_INLINE void store_channels(bfloat16* to, Vec v, int64_t n) {
  if (n >= kLanes) return store(to, v);
  _mm256_mask_storeu_epi16(to, static_cast<__mmask16>((1u << n) - 1), (__m256i)narrow(v));
}
#endif

// Rows of one head lie whole tokens apart, too far for the processor to guess the next: it is told this many ahead.
constexpr int64_t kRowsAhead = 12;

// `rows` heads of `columns` channels in a tensor that ends at `end`, `stride` elements apart.
template <class T>
struct Heads {
  T* first;
  int64_t stride, rows, columns;
  T* end;
};

// to[r * ld + c] = from[r, c] * factor. Writes up to kLanes numbers beyond the last.
template <class T>
void pack_rows(const Heads<const T>& from, float factor, float* to, int64_t ld) {
  for (int64_t r = 0; r < from.rows; ++r) {
    const T* row = from.first + r * from.stride;
    for (int64_t c = 0; c < from.columns; c += kLanes) {
      __builtin_prefetch(row + kRowsAhead * from.stride + c);
      store(to + r * ld + c, load_some(row + c, from.columns - c, from.end) * factor);
    }
  }
}

// to[c * kPanel + r] = from[r, c] * factor for a panel of queries; lanes without a query are 0.
template <class T>
void pack_panel(const Heads<const T>& from, float factor, float* to) {
  for (int64_t r = 0; r < from.rows; r += kLanes) {
    for (int64_t c = 0; c < from.columns; c += kLanes) {
      const int64_t n = min(kLanes, from.columns - c);
      Vec tile[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        const T* row = from.first + (r + i) * from.stride + c;
        __builtin_prefetch(row + kLanes * from.stride);
        tile[i] = r + i < from.rows ? load_some(row, n, from.end) * factor : zero();
      }
      transpose(tile);
      for (int64_t i = 0; i < n; ++i) store(to + (c + i) * kPanel + r, tile[i]);
    }
  }
}

// Words along the channels, a panel of queries: to[c / 2 * kPanel + r] = from[r, c] and from[r, c + 1]; lanes without a
// query are 0.
template <class T>
void pack_panel_words(const Heads<const T>& from, float* to) {
  const int64_t words = from.columns / kPerWord<T>;
  for (int64_t r = 0; r < from.rows; r += kLanes) {
    for (int64_t w = 0; w < words; w += kLanes) {
      const int64_t n = min(kLanes, words - w);
      Vec tile[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        const T* row = from.first + (r + i) * from.stride + w * kPerWord<T>;
        __builtin_prefetch(row + kLanes * from.stride);
        tile[i] = r + i < from.rows ? load_first(reinterpret_cast<const float*>(row), n) : zero();
      }
      transpose(tile);
      for (int64_t i = 0; i < n; ++i) store(to + (w + i) * kPanel + r, tile[i]);
    }
  }
}

// Words along the channels, row by row: to[r * columns / 2 + c / 2] = from[r, c] and from[r, c + 1].
template <class T>
void pack_row_words(const Heads<const T>& from, float* to) {
  const int64_t words = from.columns / kPerWord<T>;
  for (int64_t r = 0; r < from.rows; ++r) {
    const T* row = from.first + r * from.stride;
    for (int64_t c = 0; c < from.columns; c += 64 / int64_t(sizeof(T))) {
      __builtin_prefetch(row + kRowsAhead * from.stride + c);
    }
    __builtin_memcpy(to + r * words, row, words * sizeof(float));
  }
}

// Words along the rows: to[r / 2 * ld + c] = from[r, c] and from[r + 1, c], 0 for a row that does not exist.
// Writes up to kLanes words beyond the last.
template <class T>
void pack_column_words(const Heads<const T>& from, float* to, int64_t ld) {
  for (int64_t r = 0; r < from.rows; r += 2) {
    const T* row = from.first + r * from.stride;
    for (int64_t c = 0; c < from.columns; c += kLanes) {
      const int64_t n = from.columns - c;
      __builtin_prefetch(row + kRowsAhead * from.stride + c);
      __builtin_prefetch(row + (kRowsAhead + 1) * from.stride + c);
      const HalfVec first = narrow(load_channels(row + c, n));
      const HalfVec second = r + 1 < from.rows ? narrow(load_channels(row + from.stride + c, n)) : HalfVec{};
      store(to + r / 2 * ld + c, pair_words(first, second));
    }
  }
}

// to[r, c] = from[c * kPanel + r] * factors[r]
template <class T>
void unpack_panel(const float* from, const float* factors, const Heads<T>& to) {
  for (int64_t r = 0; r < to.rows; r += kLanes) {
    const Vec factor = load(factors + r);
    for (int64_t c = 0; c < to.columns; c += kLanes) {
      const int64_t n = min(kLanes, to.columns - c);
      for (int64_t i = 0; i < kLanes; ++i) __builtin_prefetch(to.first + (r + i) * to.stride + c, 1);
      Vec tile[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) tile[i] = i < n ? load(from + (c + i) * kPanel + r) * factor : zero();
      transpose(tile);
      const int64_t rows = min(kLanes, to.rows - r);
      for (int64_t i = 0; i < rows; ++i) store_channels(to.first + (r + i) * to.stride + c, tile[i], n);
    }
  }
}

// to[r, c] = from[r * ld + c] * factor
template <class T>
void unpack_rows(const float* from, int64_t ld, float factor, const Heads<T>& to) {
  for (int64_t r = 0; r < to.rows; ++r) {
    for (int64_t c = 0; c < to.columns; c += kLanes) {
      __builtin_prefetch(to.first + (r + kRowsAhead) * to.stride + c, 1);
      store_channels(to.first + r * to.stride + c, load(from + r * ld + c) * factor, to.columns - c);
    }
  }
}

// c[i][:] += sum_k a(i, k) * b[k][:], or = if not `add`, where a(i, k) is a[i * lda + k], or a[k * lda + i] by columns.
// a and b are words of T, along the depth.
struct Product {
  int64_t rows, depth;
  const float* a;
  int64_t lda;
  const float* b;
  int64_t ldb;
  float* c;
  int64_t ldc;
  bool add;
};

enum class By { rows, columns };

template <class T, By kBy, class V, int kVectors, int kRows>
__attribute__((noinline)) void multiply_tile(const Product& p, const float* a, float* c) {
  constexpr int64_t kWidth = sizeof(V) / sizeof(float);
  V sums[kRows][kVectors] = {};
  const float* b = p.b;
  const int64_t depth = p.depth, lda = p.lda, ldb = p.ldb, ldc = p.ldc;
  const bool add = p.add;
  for (int64_t k = 0; k < depth; ++k) {
    V row[kVectors];
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) __builtin_memcpy(&row[j], b + j * kWidth, sizeof(V));
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      const float* word = a + (kBy == By::rows ? i * lda : i);
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) multiply_add<T>(sums[i][j], word, row[j]);
    }
    a += kBy == By::rows ? 1 : lda;
    b += ldb;
  }
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) {
      float* to = c + i * ldc + j * kWidth;
      V total = sums[i][j];
      if (add) {
        V before;
        __builtin_memcpy(&before, to, sizeof(V));
        total += before;
      }
      __builtin_memcpy(to, &total, sizeof(V));
    }
  }
}

template <class T, By kBy, class V, int kVectors, int kRows = kTileRows>
WW_INLINE void multiply_rows(int64_t rows, const Product& p, const float* a, float* c) {
  if (rows == kRows) return multiply_tile<T, kBy, V, kVectors, kRows>(p, a, c);
  if constexpr (kRows > 1) multiply_rows<T, kBy, V, kVectors, kRows - 1>(rows, p, a, c);
}

// The rows in equal shares: 64 are 4 x 11 + 2 x 10, not 5 x 12 + 4.
template <class T, By kBy, class V, int kVectors>
void multiply(const Product& p) {
  const int64_t shares = ceil_div(p.rows, kTileRows);
  for (int64_t share = 0; share < shares; ++share) {
    const int64_t first = p.rows * share / shares, next = p.rows * (share + 1) / shares;
    multiply_rows<T, kBy, V, kVectors>(next - first, p, p.a + first * (kBy == By::rows ? p.lda : 1),
                                       p.c + first * p.ldc);
  }
}

// Channels in lanes: this many of them are stored, the last ones of D in half a vector if they fit.
WW_INLINE int64_t padded_channels(int64_t D) { return round_up(D, kHalfLanes); }

template <class T, By kBy>
void multiply_channels(Product p, int64_t padded) {
  const auto advance = [&](int64_t lanes) {
    p.b += lanes;
    p.c += lanes;
    padded -= lanes;
  };
  for (; padded >= 2 * kLanes; advance(2 * kLanes)) multiply<T, kBy, Vec, 2>(p);
  for (; padded >= kLanes; advance(kLanes)) multiply<T, kBy, Vec, 1>(p);
  if (padded > 0) multiply<T, kBy, HalfWidthVec, 1>(p);
}

}  // namespace ww::cpu::WW_ISA
