#pragma once

// What the kernels of the backward pass for Hopper share.

#include "native/cuda/flash_attention_hopper.cuh"

namespace ww::cuda::hopper {

// What the scores and dP of a block of queries are shifted by. Zero for padding.
struct alignas(16) BlockStats {
  float lse[kBlock];    // log2(e) times it
  float delta[kBlock];  // sum_d dy y
};

struct BackwardArgs {
  Mask mask;
  const int* order;
  int* counter;
  const BlockStats* stats;  // [heads, padded / kBlock]
  bf16* dqkv;
  float* partial;  // [parts, padded, 2 key_heads, D]: dk, dv of the parts of a group's heads; null for one part
  int heads, key_heads, group, parts, padded, items;
  float scale, log2_scale;  // log2_scale: log2(e) times it
};

// Launch for args.dqkv's keys and values (or args.partial) and its queries. False if a tensor map cannot be made.
bool differentiate_keys(const BackwardArgs& args, const FlashAttentionBackward& of, CudaStream& stream);
bool differentiate_queries(const BackwardArgs& args, const FlashAttentionBackward& of, CudaStream& stream);

constexpr int kConsumers = 2;
constexpr int kThreads = (kConsumers + 1) * kWarpgroup;

__device__ __forceinline__ void init_barriers(uint64_t* barriers, int count, int arrivals) {
  for (int i = 0; i < count; ++i) ptx::mbarrier_init(barriers + i, arrivals);
}
template <int kHead, int kRows>
__device__ __forceinline__ void load_rows(unsigned char* to, const ptx::TensorMap* map, uint64_t* full, int head,
                                          int row) {
#pragma unroll
  for (int column = 0; column < kHead; column += 64)
    ptx::tma_load(to + column * kRows * 2, map, full, column, head, row);
}

}  // namespace ww::cuda::hopper
