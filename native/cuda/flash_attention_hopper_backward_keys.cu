// dk and dv on Hopper: a tile of keys stays, the blocks of queries that see it pass by. Scores and dP lie with keys by
// rows, so that P and dS are operands of the next products where they are, in registers.

#include <algorithm>

#include "native/cuda/flash_attention_hopper_backward.cuh"

namespace ww::cuda::hopper {

namespace {

template <int kHead>
struct KeysShared {
  static constexpr int kStages = kHead == 64 ? 6 : 3;
  static constexpr int kKeyBytes = kTile * kHead * 2, kQueryBytes = kBlock * kHead * 2;

  alignas(1024) unsigned char keys[2][kKeyBytes];
  alignas(1024) unsigned char values[2][kKeyBytes];
  alignas(1024) unsigned char queries[kStages][kQueryBytes];
  alignas(1024) unsigned char dy[kStages][kQueryBytes];
  BlockStats stats[kStages];
  uint64_t keys_full[2], keys_empty[2], full[kStages], empty[kStages];
  int work[2];         // of keys: the item, or -1
  int steps[kStages];  // Step::word
};

// An item: a tile of keys for one head of keys, and some of the heads of queries that read it.
struct KeysItem {
  int first, key_head, part;
  __device__ __forceinline__ KeysItem(const BackwardArgs& args, int item)
      : first(args.order[item / (args.key_heads * args.parts)] * kTile),
        key_head(item / args.parts % args.key_heads),
        part(item % args.parts) {}
  __device__ __forceinline__ int head_begin(const BackwardArgs& args) const { return head_at(args, part); }
  __device__ __forceinline__ int head_end(const BackwardArgs& args) const { return head_at(args, part + 1); }

 private:
  __device__ __forceinline__ int head_at(const BackwardArgs& args, int p) const {
    return key_head * args.group + args.group * p / args.parts;
  }
};

// The step of the next block of queries after `block` that may see one of the keys from `first` on; -1 after the last.
__device__ __forceinline__ int next_queries(const Mask& mask, int first, int block) {
  const int end = (bounds<kTile>(mask.until, first / kTile).max + kBlock - 1) / kBlock;
  while (++block < end) {
    const int q = block * kBlock;
    int word = block << Step::kTileShift;
    if (mask.window > 0) {
      const Bounds queries = mask.position[block], keys = bounds<kTile>(mask.position, first / kTile);
      if (queries.min - keys.max >= mask.window) continue;
      if (queries.max - keys.min >= mask.window) word |= Step::kWindow;
    }
#pragma unroll 1
    for (int c = 0; c < kConsumers; ++c) {
      const int k = first + c * kBlock;
      const Bounds until = mask.until[k / kBlock];
      if (q + kBlock <= k || q >= until.max) {
        word |= Step::kHidden << c;
      } else if (q < k + kBlock - 1 || q + kBlock > until.min) {
        word |= Step::kMasked << c;
      }
    }
    return word;
  }
  return -1;
}

template <int kHead>
__device__ __forceinline__ void produce_keys(KeysShared<kHead>& shared, const ptx::TensorMap* key_map,
                                             const ptx::TensorMap* query_map, const ptx::TensorMap* dy_map,
                                             const BackwardArgs& args) {
  using S = KeysShared<kHead>;
  Place<S::kStages> place;
  Place<2> keys;
  int item = blockIdx.x;
  while (true) {
    uint64_t* const keys_full = &shared.keys_full[keys.slot];
    ptx::mbarrier_wait(&shared.keys_empty[keys.slot], keys.parity ^ 1);
    if (item >= args.items) {
      shared.work[keys.slot] = -1;
      ptx::mbarrier_arrive(keys_full);
      return;
    }
    const KeysItem work(args, item);
    shared.work[keys.slot] = item;
    ptx::mbarrier_arrive_expect(keys_full, 2 * S::kKeyBytes);
    const int row = args.heads + work.key_head;
    load_rows<kHead, kTile>(shared.keys[keys.slot], key_map, keys_full, row, work.first);
    load_rows<kHead, kTile>(shared.values[keys.slot], key_map, keys_full, row + args.key_heads, work.first);
    keys.advance();
    item = gridDim.x + atomicAdd(args.counter, 1);

    const int end = work.head_end(args);
    for (int head = work.head_begin(args); head < end; ++head) {
      int step = next_queries(args.mask, work.first, work.first / kBlock - 1);
      while (step >= 0) {
        const int block = step >> Step::kTileShift;
        const int next = next_queries(args.mask, work.first, block);
        uint64_t* const full = &shared.full[place.slot];
        ptx::mbarrier_wait(&shared.empty[place.slot], place.parity ^ 1);
        shared.steps[place.slot] = next < 0 && head == end - 1 ? step | Step::kLast : step;
        ptx::mbarrier_arrive_expect(full, 2 * S::kQueryBytes + sizeof(BlockStats));
        load_rows<kHead, kBlock>(shared.queries[place.slot], query_map, full, head, block * kBlock);
        load_rows<kHead, kBlock>(shared.dy[place.slot], dy_map, full, head, block * kBlock);
        ptx::bulk_load(&shared.stats[place.slot],
                       args.stats + static_cast<int64_t>(head) * args.padded / kBlock + block, full,
                       sizeof(BlockStats));
        place.advance();
        step = next;
      }
    }
  }
}

template <int kHead>
class KeysConsumer {
 public:
  using S = KeysShared<kHead>;
  __device__ __forceinline__ KeysConsumer(S& shared, const BackwardArgs& args, int index)
      : shared_(shared), args_(args), index_(index) {}

  __device__ __forceinline__ void run() {
    Place<2> keys;
    while (true) {
      ptx::mbarrier_wait(&shared_.keys_full[keys.slot], keys.parity);
      if (__shfl_sync(kAllLanes, shared_.work[keys.slot], 0) < 0) return;
      differentiate(keys.slot);
      keys.advance();
    }
  }

 private:
  __device__ __forceinline__ void differentiate(int slot) {
    float s[kBlock / 2], dp[kBlock / 2], dk[kHead / 2] = {}, dv[kHead / 2] = {};
    uint32_t p[kBlock / 4], ds[kBlock / 4];
    int pending = -1;  // a stage that products in flight still read
    while (true) {
      const int stage = place_.slot;
      ptx::mbarrier_wait(&shared_.full[stage], place_.parity);
      place_.advance();
      const Step step{__shfl_sync(kAllLanes, shared_.steps[stage], 0)};
      if (step.is_hidden(index_)) {  // the producer may need the pending stage before another one that is not hidden
        ptx::wgmma_wait<0>();
        ptx::keep(ds);
        if (pending >= 0) release(&shared_.empty[pending]);
        pending = -1;
        release(&shared_.empty[stage]);
        if (step.is_last()) break;
        continue;
      }

      ptx::wgmma_fence();
      multiply<kHead, kTile, kBlock>(s, shared_.keys[slot], index_ * kBlock, shared_.queries[stage]);
      ptx::wgmma_commit();
      ptx::wgmma_wait<1>();  // for dk: its operand and dp together are too many registers
      ptx::keep(ds);
      if (pending >= 0) release(&shared_.empty[pending]);
      pending = stage;
      ptx::wgmma_fence();
      multiply<kHead, kTile, kBlock>(dp, shared_.values[slot], index_ * kBlock, shared_.dy[stage]);
      ptx::wgmma_commit();
      ptx::wgmma_wait<1>();
      ptx::keep(s);
      const BlockStats& stats = shared_.stats[stage];
      const int column = threadIdx.x % 4 * 2;
#pragma unroll
      for (int j = 0; j < kBlock / 8; ++j) {
        const Pack<float, 2> lse = load<2>(stats.lse + column + 8 * j);
#pragma unroll
        for (int i = 0; i < 4; ++i) s[4 * j + i] = ptx::fast_exp2(s[4 * j + i] * args_.log2_scale - lse[i % 2]);
      }
      hide_columns(s, step, slot);
      pack_bf16(p, s);
      ptx::wgmma_fence();
      multiply_add<kBlock>(dv, p, shared_.dy[stage]);
      ptx::wgmma_commit();
      ptx::wgmma_wait<1>();
      ptx::keep(dp);
#pragma unroll
      for (int j = 0; j < kBlock / 8; ++j) {
        const Pack<float, 2> delta = load<2>(stats.delta + column + 8 * j);
#pragma unroll
        for (int i = 0; i < 4; ++i) s[4 * j + i] *= dp[4 * j + i] - delta[i % 2];
      }
      pack_bf16(ds, s);
      ptx::wgmma_fence();
      multiply_add<kBlock>(dk, ds, shared_.queries[stage]);
      ptx::wgmma_commit();
      ptx::wgmma_wait<1>();  // for dv
      ptx::keep(p);
      if (step.is_last()) break;
    }
    ptx::wgmma_wait<0>();
    ptx::keep(dk);
    ptx::keep(dv);
    ptx::keep(ds);
    if (pending >= 0) release(&shared_.empty[pending]);
    finish(dk, dv, slot);
    release(&shared_.keys_empty[slot]);
  }

  // Of this lane's two keys; the other is 8 on.
  __device__ __forceinline__ int first_key(const KeysItem& item) {
    return item.first + index_ * kBlock + threadIdx.x / kWarp % 4 * 16 + threadIdx.x % kWarp / 4;
  }

  // Zeroes what the mask hides: keys lie by rows, queries by columns.
  __device__ __forceinline__ void hide_columns(float (&p)[kBlock / 2], Step step, int slot) {
    if (!step.is_masked(index_) && !step.has_window()) return;
    const int key = first_key(KeysItem(args_, shared_.work[slot]));
    const int query = step.tile() * kBlock + threadIdx.x % 4 * 2;
    if (step.is_masked(index_)) {
      const uint32_t reach[2] = {args_.mask.reach[key], args_.mask.reach[key + 8]};
#pragma unroll
      for (int i = 0; i < kBlock / 2; ++i) {
        const uint32_t distance = query + i / 4 * 8 + i % 2 - key - i / 2 % 2 * 8;
        if (distance >= reach[i / 2 % 2]) p[i] = 0;
      }
    }
    if (step.has_window()) {
      const Mask& mask = args_.mask;
      const int last = mask.tokens - 1;
      const int of_keys[2] = {mask.positions[min(key, last)], mask.positions[min(key + 8, last)]};
#pragma unroll
      for (int i = 0; i < kBlock / 2; ++i) {
        const int of_query = mask.positions[min(query + i / 4 * 8 + i % 2, last)];
        if (of_query - of_keys[i / 2 % 2] >= mask.window) p[i] = 0;
      }
    }
  }

  __device__ __forceinline__ void finish(const float (&dk)[kHead / 2], const float (&dv)[kHead / 2], int slot) {
    const KeysItem work(args_, shared_.work[slot]);
    const int key = first_key(work);
    if (args_.partial == nullptr) {
      const bool valid[2] = {key < args_.mask.tokens, key + 8 < args_.mask.tokens};
      const int64_t pitch = static_cast<int64_t>(args_.heads + 2 * args_.key_heads) * kHead;
      bf16* const row = args_.dqkv + key * pitch + (args_.heads + work.key_head) * kHead;
      store_rows(dk, {args_.scale, args_.scale}, row, pitch, valid);
      store_rows(dv, {1.0f, 1.0f}, row + args_.key_heads * kHead, pitch, valid);
    } else {
      const int64_t pitch = static_cast<int64_t>(2 * args_.key_heads) * kHead;
      float* const row = args_.partial + (static_cast<int64_t>(work.part) * args_.padded + key) * pitch +
                         work.key_head * kHead + threadIdx.x % 4 * 2;
#pragma unroll
      for (int i = 0; i < kHead / 2; i += 2) {
        float* const to = row + i / 2 % 2 * 8 * pitch + i / 4 * 8;
        store<float, 2>(to, {dk[i] * args_.scale, dk[i + 1] * args_.scale});
        store<float, 2>(to + args_.key_heads * kHead, {dv[i], dv[i + 1]});
      }
    }
  }

  S& shared_;
  const BackwardArgs& args_;
  const int index_;
  Place<S::kStages> place_;
};

template <int kHead>
__global__ void __launch_bounds__(kThreads, 1)
    keys_kernel(const __grid_constant__ ptx::TensorMap key_map, const __grid_constant__ ptx::TensorMap query_map,
                const __grid_constant__ ptx::TensorMap dy_map, const __grid_constant__ BackwardArgs args) {
#if WW_HOPPER_CODE
  using S = KeysShared<kHead>;
  WW_DYNAMIC_SHARED(S, shared);
  if (threadIdx.x == 0) {
    init_barriers(shared->keys_full, 2, 1);
    init_barriers(shared->keys_empty, 2, kConsumers * 4);
    init_barriers(shared->full, S::kStages, 1);
    init_barriers(shared->empty, S::kStages, kConsumers * 4);
    ptx::fence_mbarrier_init();
  }
  __syncthreads();
  const int warpgroup = __shfl_sync(kAllLanes, threadIdx.x / kWarpgroup, 0);
  if (warpgroup == kConsumers) {
    ptx::lower_registers<40>();
    if (threadIdx.x == kConsumers * kWarpgroup) produce_keys<kHead>(*shared, &key_map, &query_map, &dy_map, args);
  } else {
    ptx::raise_registers<232>();
    KeysConsumer<kHead>(*shared, args, warpgroup).run();
  }
#else
  __trap();
#endif
}

template <int kHead>
bool launch(const BackwardArgs& args, const FlashAttentionBackward& of, CudaStream& stream) {
  const int64_t tokens = of.qkv.dims[0], rows = of.qkv.dims[1];
  ptx::TensorMap key_map, query_map, dy_map;
  if (!ptx::make_tensor_map(&key_map, of.qkv.as<bf16>(), tokens, rows, kHead, kTile) ||
      !ptx::make_tensor_map(&query_map, of.qkv.as<bf16>(), tokens, rows, kHead, kBlock) ||
      !ptx::make_tensor_map(&dy_map, of.dy.as<bf16>(), tokens, args.heads, kHead, kBlock)) {
    return false;
  }
  const Grid grid{dim3(std::min(stream.limits().multiprocessors, args.items)), kThreads, sizeof(KeysShared<kHead>)};
  launch_kernel(FlashAttentionBackward::kName, keys_kernel<kHead>, grid, stream, key_map, query_map, dy_map, args);
  return true;
}

}  // namespace

bool differentiate_keys(const BackwardArgs& args, const FlashAttentionBackward& of, CudaStream& stream) {
  return of.qkv.dims[2] == 64 ? launch<64>(args, of, stream) : launch<128>(args, of, stream);
}

}  // namespace ww::cuda::hopper
