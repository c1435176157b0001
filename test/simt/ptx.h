#pragma once

// What the instructions of native/cuda/ptx.cuh mean, for the emulator.

#include <cuda_bf16.h>

#include "test/simt/simt.h"

namespace ww::cuda::ptx {

// 16 bytes of shared memory. Not memcpy or memset: the compiler expands those without telling ThreadSanitizer.
using Word [[gnu::may_alias]] = uint64_t;
inline void copy16(void* dst, const void* src) {
  Word* const d = static_cast<Word*>(dst);
  const Word* const s = static_cast<const Word*>(src);
  d[0] = s[0], d[1] = s[1];
}
inline void fill16(void* dst, uint64_t word) {
  Word* const d = static_cast<Word*>(dst);
  d[0] = word, d[1] = word;
}

struct Mma {
  float d[4];
  const uint32_t *a, *b;
  const float* c;
};

inline float low(uint32_t pair) { return std::bit_cast<float>(pair << 16); }
inline float high(uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); }

inline void mma_op(Mma* const* lanes, unsigned mask) {
  if (mask != ~0u) simt::fail("mma by part of a warp");
  float a[16][16], b[16][8], d[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4 * 2;
    const Mma& l = *lanes[lane];
    for (int i = 0; i < 4; ++i) {
      float* at = &a[g + i % 2 * 8][t + i / 2 * 8];
      at[0] = low(l.a[i]), at[1] = high(l.a[i]);
    }
    for (int i = 0; i < 2; ++i) b[t + i * 8][g] = low(l.b[i]), b[t + i * 8 + 1][g] = high(l.b[i]);
    for (int i = 0; i < 4; ++i) d[g + i / 2 * 8][t + i % 2] = l.c[i];
  }
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 16; ++k)
      for (int j = 0; j < 8; ++j) d[i][j] += a[i][k] * b[k][j];
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) lanes[lane]->d[i] = d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
}

inline void mma_m16n8k16_bf16(float d[4], const uint32_t a[4], const uint32_t b[2], const float c[4], SIMT_HERE) {
  Mma args{{}, a, b, c};
  simt::collective<Mma, mma_op>(~0u, "mma", where, args);
  for (int i = 0; i < 4; ++i) d[i] = args.d[i];
}

struct LoadMatrix {
  const void* row;
  uint32_t out[4];
};

template <bool kTrans>
void ldmatrix_op(LoadMatrix* const* lanes, unsigned mask) {
  if (mask != ~0u) simt::fail("ldmatrix by part of a warp");
  for (int m = 0; m < 4; ++m) {
    alignas(16) uint16_t tile[8][8];
    for (int r = 0; r < 8; ++r) {
      const void* row = lanes[m * 8 + r]->row;
      if (reinterpret_cast<uintptr_t>(row) % 16) simt::fail("ldmatrix row not aligned to 16 bytes");
      copy16(tile[r], row);
    }
    for (int lane = 0; lane < 32; ++lane) {
      const int i = lane / 4, j = lane % 4 * 2;
      const uint16_t x = kTrans ? tile[j][i] : tile[i][j], y = kTrans ? tile[j + 1][i] : tile[i][j + 1];
      lanes[lane]->out[m] = x | uint32_t(y) << 16;
    }
  }
}

inline void ldmatrix_x4(uint32_t r[4], const void* row, SIMT_HERE) {
  LoadMatrix args{row, {}};
  simt::collective<LoadMatrix, ldmatrix_op<false>>(~0u, "ldmatrix", where, args);
  std::memcpy(r, args.out, 16);
}
inline void ldmatrix_x4_trans(uint32_t r[4], const void* row, SIMT_HERE) {
  LoadMatrix args{row, {}};
  simt::collective<LoadMatrix, ldmatrix_op<true>>(~0u, "ldmatrix.trans", where, args);
  std::memcpy(r, args.out, 16);
}

// The destination is NaN from here until the wait, which makes both a missing wait and a copy over data still in use
// visible.
inline void cp_async_16(void* dst, const void* src, bool valid = true) {
  if (reinterpret_cast<uintptr_t>(dst) % 16 || (valid && reinterpret_cast<uintptr_t>(src) % 16)) {
    simt::fail("cp.async of 16 bytes not aligned to 16 bytes");
  }
  fill16(dst, ~0ull);
  simt::AsyncQueue& q = simt::async_queue();
  q.copies.push_back({dst, valid ? src : nullptr, q.open_group});
}
inline void cp_async_commit() { ++simt::async_queue().open_group; }
template <int N>
void cp_async_wait_group() {
  simt::AsyncQueue& q = simt::async_queue();
  size_t done = 0;
  for (; done < q.copies.size() && int(q.open_group - q.copies[done].group) > N; ++done) {
    const simt::AsyncCopy& c = q.copies[done];
    if (c.src)
      copy16(c.dst, c.src);
    else
      fill16(c.dst, 0);
  }
  q.copies.erase(q.copies.begin(), q.copies.begin() + done);
}

}  // namespace ww::cuda::ptx
