#include "test/simt/ptx.h"

namespace ww::cuda::ptx {

void copy16(void* to, const void* from) { std::memcpy(to, from, 16); }
void fill16(void* to, uint64_t word) {
  std::memcpy(to, &word, 8);
  std::memcpy(static_cast<char*>(to) + 8, &word, 8);
}

namespace {

struct Mma {
  float d[4];
  const uint32_t *a, *b;
  const float* c;
};

void mma_lanes(Mma* const* lanes, unsigned mask) {
  if (mask != ~0u) simt::fail("mma by part of a warp");
  float a[16][16], b[16][8], d[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4 * 2;
    const Mma& l = *lanes[lane];
    for (int i = 0; i < 4; ++i) {
      float* const at = &a[g + i % 2 * 8][t + i / 2 * 8];
      at[0] = low(l.a[i]);
      at[1] = high(l.a[i]);
    }
    for (int i = 0; i < 2; ++i) {
      b[t + i * 8][g] = low(l.b[i]);
      b[t + i * 8 + 1][g] = high(l.b[i]);
    }
    for (int i = 0; i < 4; ++i) d[g + i / 2 * 8][t + i % 2] = l.c[i];
  }
  for (int i = 0; i < 16; ++i) {
    for (int k = 0; k < 16; ++k) {
      for (int j = 0; j < 8; ++j) d[i][j] += a[i][k] * b[k][j];
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) lanes[lane]->d[i] = d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
  }
}

struct LoadMatrix {
  const void* row;
  uint32_t out[4];
};

template <bool kTransposed>
void load_matrices(LoadMatrix* const* lanes, unsigned mask) {
  if (mask != ~0u) simt::fail("ldmatrix by part of a warp");
  for (int m = 0; m < 4; ++m) {
    alignas(16) uint16_t tile[8][8];
    for (int r = 0; r < 8; ++r) {
      const void* const row = lanes[m * 8 + r]->row;
      if (reinterpret_cast<uintptr_t>(row) % 16) simt::fail("ldmatrix of a row that is not aligned to 16 bytes");
      copy16(tile[r], row);
    }
    for (int lane = 0; lane < 32; ++lane) {
      const int i = lane / 4, j = lane % 4 * 2;
      const uint16_t x = kTransposed ? tile[j][i] : tile[i][j], y = kTransposed ? tile[j + 1][i] : tile[i][j + 1];
      lanes[lane]->out[m] = x | static_cast<uint32_t>(y) << 16;
    }
  }
}

}  // namespace

void mma_m16n8k16_bf16(float d[4], const uint32_t a[4], const uint32_t b[2], const float c[4], simt::Where where) {
  Mma args{{}, a, b, c};
  simt::collective<Mma, mma_lanes>(~0u, "mma", where, args);
  for (int i = 0; i < 4; ++i) d[i] = args.d[i];
}

void ldmatrix_x4(uint32_t r[4], const void* row, simt::Where where) {
  LoadMatrix args{row, {}};
  simt::collective<LoadMatrix, load_matrices<false>>(~0u, "ldmatrix", where, args);
  std::memcpy(r, args.out, 16);
}
void ldmatrix_x4_trans(uint32_t r[4], const void* row, simt::Where where) {
  LoadMatrix args{row, {}};
  simt::collective<LoadMatrix, load_matrices<true>>(~0u, "ldmatrix.trans", where, args);
  std::memcpy(r, args.out, 16);
}

void cp_async_16(void* to, const void* from, bool valid) {
  const auto misaligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 != 0; };
  if (misaligned(to) || (valid && misaligned(from))) simt::fail("cp.async at an address that is not a multiple of 16");
  fill16(to, ~uint64_t(0));
  simt::AsyncQueue& queue = simt::async_queue();
  queue.copies.push_back({to, valid ? from : nullptr, queue.open_group});
}
void cp_async_commit() { ++simt::async_queue().open_group; }
void wait_for_copies(int unfinished) {
  simt::AsyncQueue& queue = simt::async_queue();
  size_t done = 0;
  for (; done < queue.copies.size(); ++done) {
    const simt::AsyncCopy& copy = queue.copies[done];
    if (static_cast<int>(queue.open_group - copy.group) <= unfinished) break;
    if (copy.from != nullptr) {
      copy16(copy.to, copy.from);
    } else {
      fill16(copy.to, 0);
    }
  }
  queue.copies.erase(queue.copies.begin(), queue.copies.begin() + done);
}

}  // namespace ww::cuda::ptx
