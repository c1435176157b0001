#pragma once

// What the functions of native/cuda/ptx.cuh mean.

#include "test/simt/simt.h"

namespace ww::cuda::ptx {

void copy16(void* to, const void* from);
void fill16(void* to, uint64_t word);

inline float low(uint32_t pair) { return std::bit_cast<float>(pair << 16); }
inline float high(uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); }

void mma_m16n8k16_bf16(float d[4], const uint32_t a[4], const uint32_t b[2], const float c[4], SIMT_HERE);

void ldmatrix_x4(uint32_t r[4], const void* row, SIMT_HERE);
void ldmatrix_x4_trans(uint32_t r[4], const void* row, SIMT_HERE);

// The destination is NaN until the wait: a missing wait shows, and so does a copy over data still in use.
void cp_async_16(void* to, const void* from, bool valid = true);
void cp_async_commit();
void wait_for_copies(int unfinished);
template <int kUnfinished>
void cp_async_wait_group() {
  wait_for_copies(kUnfinished);
}

}  // namespace ww::cuda::ptx
