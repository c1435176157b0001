// dq on Hopper: a tile of queries stays, the tiles of keys that it sees pass by, as in the forward pass.

#include <algorithm>

#include "native/cuda/flash_attention_hopper_backward.cuh"

namespace ww::cuda::hopper {

namespace {

template <int kHead>
struct QueriesShared {
  static constexpr int kSlots = kHead == 64 ? 8 : 4;
  static constexpr int kTileBytes = kTile * kHead * 2;
  static constexpr int kReachBytes = kTile * 4;
  static constexpr int kStatsBytes = kTile / kBlock * sizeof(BlockStats);

  alignas(1024) unsigned char queries[kTileBytes];
  alignas(1024) unsigned char dy[kTileBytes];
  alignas(1024) unsigned char ring[kSlots][kTileBytes];  // keys 0, values 0, keys 1, values 1, ...
  alignas(16) uint32_t reach[kSlots][kTile];             // of keys
  BlockStats stats[kConsumers];
  uint64_t queries_full, queries_empty, full[kSlots], empty[kSlots];
  int first, head;    // query of the tile, -1 after the last; its head
  int steps[kSlots];  // Step::word, of keys
};

template <int kHead>
__device__ __forceinline__ void produce_queries(QueriesShared<kHead>& shared, const ptx::TensorMap* map,
                                                const ptx::TensorMap* dy_map, const BackwardArgs& args) {
  using S = QueriesShared<kHead>;
  Place<S::kSlots> place;
  unsigned parity = 0;
  int item = blockIdx.x;
  const auto load = [&](int head, int tile, int step) {  // keys come with a step
    uint64_t* const full = &shared.full[place.slot];
    ptx::mbarrier_wait(&shared.empty[place.slot], place.parity ^ 1);
    if (step >= 0) {
      shared.steps[place.slot] = step;
      ptx::mbarrier_arrive_expect(full, S::kTileBytes + S::kReachBytes);
      ptx::bulk_load(shared.reach[place.slot], args.mask.reach + tile * kTile, full, S::kReachBytes);
    } else {
      ptx::mbarrier_arrive_expect(full, S::kTileBytes);
    }
    load_rows<kHead, kTile>(shared.ring[place.slot], map, full, head, tile * kTile);
    place.advance();
  };
  while (true) {
    ptx::mbarrier_wait(&shared.queries_empty, parity ^ 1);
    parity ^= 1;
    if (item >= args.items) {
      shared.first = -1;
      ptx::mbarrier_arrive(&shared.queries_full);
      return;
    }
    const int first = args.order[item / args.heads] * kTile, head = item % args.heads;
    shared.first = first;
    shared.head = head;
    ptx::mbarrier_arrive_expect(&shared.queries_full, 2 * S::kTileBytes + S::kStatsBytes);
    load_rows<kHead, kTile>(shared.queries, map, &shared.queries_full, head, first);
    load_rows<kHead, kTile>(shared.dy, dy_map, &shared.queries_full, head, first);
    ptx::bulk_load(shared.stats, args.stats + (static_cast<int64_t>(head) * args.padded + first) / kBlock,
                   &shared.queries_full, S::kStatsBytes);
    item = gridDim.x + atomicAdd(args.counter, 1);

    const int key_head = args.heads + head / args.group;
    int step = next_keys<kTile>(args.mask, first, end_of_keys<kTile>(args.mask, first));
    while (step >= 0) {
      const int tile = step >> Step::kTileShift, next = next_keys<kTile>(args.mask, first, tile);
      load(key_head, tile, next < 0 ? step | Step::kLast : step);
      load(key_head + args.key_heads, tile, -1);
      step = next;
    }
  }
}

template <int kHead>
class QueriesConsumer {
 public:
  using S = QueriesShared<kHead>;
  __device__ __forceinline__ QueriesConsumer(S& shared, const BackwardArgs& args, int index)
      : shared_(shared), args_(args), index_(index) {}

  __device__ __forceinline__ void run() {
    for (unsigned parity = 0;; parity ^= 1) {
      ptx::mbarrier_wait(&shared_.queries_full, parity);
      const int first = __shfl_sync(kAllLanes, shared_.first, 0), head = __shfl_sync(kAllLanes, shared_.head, 0);
      if (first < 0) return;
      differentiate(first, head);
    }
  }

 private:
  __device__ __forceinline__ void differentiate(int first, int head) {
    float s[kTile / 2], dp[kTile / 2], dq[kHead / 2] = {};
    uint32_t ds[kTile / 4];
    const int row_of_block = threadIdx.x / kWarp % 4 * 16 + threadIdx.x % kWarp / 4,
              row = index_ * kBlock + row_of_block;
    const BlockStats& stats = shared_.stats[index_];

    int keys = next_slot();
    scores(s, keys);
    while (true) {
      const Step step{__shfl_sync(kAllLanes, shared_.steps[keys], 0)};
      const int values = next_slot();
      ptx::wgmma_fence();
      multiply<kHead, kTile, kTile>(dp, shared_.dy, index_ * kBlock, shared_.ring[values]);
      ptx::wgmma_commit();
      ptx::wgmma_wait<1>();
      ptx::keep(s);
      hide(s, args_.mask, step, index_, first + row, shared_.reach[keys]);
      const float lse[2] = {stats.lse[row_of_block], stats.lse[row_of_block + 8]};
#pragma unroll
      for (int i = 0; i < kTile / 2; ++i) s[i] = ptx::fast_exp2(s[i] * args_.log2_scale - lse[i / 2 % 2]);
      ptx::wgmma_wait<0>();
      ptx::keep(dp);
      const float delta[2] = {stats.delta[row_of_block], stats.delta[row_of_block + 8]};
      release(&shared_.empty[values]);
      if (step.is_last()) release(&shared_.queries_empty);
#pragma unroll
      for (int i = 0; i < kTile / 2; ++i) s[i] *= dp[i] - delta[i / 2 % 2];
      pack_bf16(ds, s);
      ptx::wgmma_fence();
      multiply_add<kTile>(dq, ds, shared_.ring[keys]);
      ptx::wgmma_commit();
      if (step.is_last()) break;
      const int next = next_slot();
      scores(s, next);
      ptx::wgmma_wait<1>();
      ptx::keep(ds);
      release(&shared_.empty[keys]);
      keys = next;
    }
    ptx::wgmma_wait<0>();
    ptx::keep(dq);
    ptx::keep(ds);
    release(&shared_.empty[keys]);

    const bool valid[2] = {first + row < args_.mask.tokens, first + row + 8 < args_.mask.tokens};
    const int64_t pitch = static_cast<int64_t>(args_.heads + 2 * args_.key_heads) * kHead;
    store_rows(dq, {args_.scale, args_.scale}, args_.dqkv + (first + row) * pitch + head * kHead, pitch, valid);
  }

  // Waits for the next slot of the ring to fill.
  __device__ __forceinline__ int next_slot() {
    const int slot = place_.slot;
    ptx::mbarrier_wait(&shared_.full[slot], place_.parity);
    place_.advance();
    return slot;
  }
  __device__ __forceinline__ void scores(float (&s)[kTile / 2], int slot) {
    ptx::wgmma_fence();
    multiply<kHead, kTile, kTile>(s, shared_.queries, index_ * kBlock, shared_.ring[slot]);
    ptx::wgmma_commit();
  }

  S& shared_;
  const BackwardArgs& args_;
  const int index_;
  Place<S::kSlots> place_;
};

template <int kHead>
__global__ void __launch_bounds__(kThreads, 1)
    queries_kernel(const __grid_constant__ ptx::TensorMap map, const __grid_constant__ ptx::TensorMap dy_map,
                   const __grid_constant__ BackwardArgs args) {
#if WW_HOPPER_CODE
  using S = QueriesShared<kHead>;
  WW_DYNAMIC_SHARED(S, shared);
  if (threadIdx.x == 0) {
    init_barriers(&shared->queries_full, 1, 1);
    init_barriers(&shared->queries_empty, 1, kConsumers * 4);
    init_barriers(shared->full, S::kSlots, 1);
    init_barriers(shared->empty, S::kSlots, kConsumers * 4);
    ptx::fence_mbarrier_init();
  }
  __syncthreads();
  const int warpgroup = __shfl_sync(kAllLanes, threadIdx.x / kWarpgroup, 0);
  if (warpgroup == kConsumers) {
    ptx::lower_registers<40>();
    if (threadIdx.x == kConsumers * kWarpgroup) produce_queries<kHead>(*shared, &map, &dy_map, args);
  } else {
    ptx::raise_registers<232>();
    QueriesConsumer<kHead>(*shared, args, warpgroup).run();
  }
#else
  __trap();
#endif
}

template <int kHead>
bool launch(const BackwardArgs& args, const FlashAttentionBackward& of, CudaStream& stream) {
  const int64_t tokens = of.qkv.dims[0], rows = of.qkv.dims[1];
  ptx::TensorMap map, dy_map;
  if (!ptx::make_tensor_map(&map, of.qkv.as<bf16>(), tokens, rows, kHead, kTile) ||
      !ptx::make_tensor_map(&dy_map, of.dy.as<bf16>(), tokens, args.heads, kHead, kTile)) {
    return false;
  }
  const Grid grid{dim3(std::min(stream.limits().multiprocessors, args.items)), kThreads, sizeof(QueriesShared<kHead>)};
  launch_kernel(FlashAttentionBackward::kName, queries_kernel<kHead>, grid, stream, map, dy_map, args);
  return true;
}

}  // namespace

bool differentiate_queries(const BackwardArgs& args, const FlashAttentionBackward& of, CudaStream& stream) {
  return of.qkv.dims[2] == 64 ? launch<64>(args, of, stream) : launch<128>(args, of, stream);
}

}  // namespace ww::cuda::hopper
