// Attention backward on Hopper, in the manner of the forward kernel: dk and dv by one kernel, for each tile of keys over
// the queries that see it; dq by another, for each tile of queries over its keys. Both compute the scores and dP, 7
// products where one kernel for all needs 5; but P and dS stay in registers, nothing is added up through memory, and
// sums run in a fixed order.

#include <algorithm>

#include "native/cuda/flash_attention_hopper.cuh"

namespace ww::cuda {

namespace hopper {

namespace {

constexpr const char* kName = FlashAttentionBackward::kName;

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

template <int kHead>
__global__ void __launch_bounds__(256) stats_kernel(const bf16* dy, const bf16* y, const float* lse, BlockStats* stats,
                                                    int tokens, int heads) {
  constexpr int kLanes = kHead / 8;  // of a row
  const int lane = threadIdx.x % kLanes, head = blockIdx.y;
  for (int i = threadIdx.x / kLanes; i < kBlock; i += 256 / kLanes) {
    const int q = blockIdx.x * kBlock + i;
    float sum = 0;
    if (q < tokens) {
      const int64_t at = (static_cast<int64_t>(q) * heads + head) * kHead + lane * 8;
      const Pack<bf16, 8> a = load<8>(dy + at), b = load<8>(y + at);
#pragma unroll
      for (int c = 0; c < 8; ++c) sum += __bfloat162float(a[c]) * __bfloat162float(b[c]);
    }
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2) sum += __shfl_xor_sync(kAllLanes, sum, offset);
    if (lane > 0) continue;
    BlockStats& block = stats[static_cast<int64_t>(head) * gridDim.x + blockIdx.x];
    block.lse[i] = q < tokens ? lse[static_cast<int64_t>(head) * tokens + q] * kLog2E : 0;
    block.delta[i] = sum;
  }
}

constexpr int kConsumers = 2;
constexpr int kThreads = (kConsumers + 1) * kWarpgroup;

__device__ __forceinline__ void init_barriers(uint64_t* barriers, int count, int arrivals) {
  for (int i = 0; i < count; ++i) ptx::mbarrier_init(barriers + i, arrivals);
}
template <int kHead, int kRows>
__device__ __forceinline__ void load_rows(unsigned char* to, const ptx::TensorMap* map, uint64_t* full, int head,
                                          int row) {
#pragma unroll
  for (int column = 0; column < kHead; column += 64) ptx::tma_load(to + column * kRows * 2, map, full, column, head, row);
}

// ---- dk and dv

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
        ptx::bulk_load(&shared.stats[place.slot], args.stats + static_cast<int64_t>(head) * args.padded / kBlock + block,
                       full, sizeof(BlockStats));
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

// dqkv's keys and values: the sum of the parts, 8 elements a thread.
__global__ void __launch_bounds__(256)
    sum_parts_kernel(const float* partial, bf16* dqkv, int parts, int64_t rows, int64_t padded, int row, int pitch) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x) * 8;
  if (i >= rows * row) return;
  float sum[8] = {};
  for (int part = 0; part < parts; ++part) {
    const float* const from = partial + part * padded * row + i;
    const Pack<float, 4> a = load<4>(from), b = load<4>(from + 4);
#pragma unroll
    for (int c = 0; c < 4; ++c) sum[c] += a[c], sum[c + 4] += b[c];
  }
  Pack<bf16, 8> out;
#pragma unroll
  for (int c = 0; c < 8; ++c) out[c] = __float2bfloat16(sum[c]);
  store(dqkv + i / row * pitch + (pitch - row) + i % row, out);
}

// ---- dq

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
    const int row_of_block = threadIdx.x / kWarp % 4 * 16 + threadIdx.x % kWarp / 4, row = index_ * kBlock + row_of_block;
    const BlockStats& stats = shared_.stats[index_];
    const float lse[2] = {stats.lse[row_of_block], stats.lse[row_of_block + 8]};
    const float delta[2] = {stats.delta[row_of_block], stats.delta[row_of_block + 8]};

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
#pragma unroll
      for (int i = 0; i < kTile / 2; ++i) s[i] = ptx::fast_exp2(s[i] * args_.log2_scale - lse[i / 2 % 2]);
      ptx::wgmma_wait<0>();
      ptx::keep(dp);
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

// Into how many parts the heads of a group are divided so that every multiprocessor finds work. The number decides how
// dk and dv are rounded, so that it does not depend on the GPU.
int parts_of_group(int64_t items, int64_t group) {
  constexpr int64_t kEnough = 200;
  return static_cast<int>(std::min(group, ceil_div(kEnough, items)));
}

template <int kHead>
bool launch(const FlashAttentionBackward& args, CudaStream& stream) {
  const int64_t tokens = args.qkv.dims[0], rows = args.qkv.dims[1], heads = args.y.dims[1];
  const int64_t key_heads = (rows - heads) / 2, tiles = ceil_div(tokens, kTile), padded = tiles * kTile;
  ptx::TensorMap map, query_map, dy_map, dy_block_map;
  if (!ptx::make_tensor_map(&map, args.qkv.as<bf16>(), tokens, rows, kHead, kTile) ||
      !ptx::make_tensor_map(&query_map, args.qkv.as<bf16>(), tokens, rows, kHead, kBlock) ||
      !ptx::make_tensor_map(&dy_map, args.dy.as<bf16>(), tokens, heads, kHead, kTile) ||
      !ptx::make_tensor_map(&dy_block_map, args.dy.as<bf16>(), tokens, heads, kHead, kBlock)) {
    return false;
  }
  BackwardArgs a;
  a.heads = static_cast<int>(heads);
  a.key_heads = static_cast<int>(key_heads);
  a.group = static_cast<int>(heads / key_heads);
  a.parts = parts_of_group(tiles * key_heads, a.group);
  a.padded = static_cast<int>(padded);
  a.scale = args.scale;
  a.log2_scale = args.scale * kLog2E;
  a.dqkv = args.dqkv.as<bf16>();

  const int64_t stats_bytes = heads * padded / kBlock * sizeof(BlockStats), key_row = 2 * key_heads * kHead;
  const int64_t partial_bytes = a.parts > 1 ? a.parts * padded * key_row * 4 : 0;
  char* const memory = static_cast<char*>(stream.scratch(plan_bytes(tokens) + stats_bytes + partial_bytes));
  const Plan work = plan(kName, args.positions, args.sequence_start, args.visible_until, args.window, kTile, kTile,
                         memory, stream);
  a.mask = work.mask;
  BlockStats* const stats = reinterpret_cast<BlockStats*>(memory + plan_bytes(tokens));
  a.stats = stats;
  a.partial = a.parts > 1 ? reinterpret_cast<float*>(memory + plan_bytes(tokens) + stats_bytes) : nullptr;
  launch_kernel(kName, stats_kernel<kHead>, {dim3(padded / kBlock, heads), 256}, stream, args.dy.as<bf16>(),
                args.y.as<bf16>(), args.lse.as<float>(), stats, a.mask.tokens, a.heads);

  const int multiprocessors = stream.limits().multiprocessors;
  a.order = work.key_order;
  a.counter = work.counters;
  a.items = static_cast<int>(tiles * key_heads * a.parts);
  launch_kernel(kName, keys_kernel<kHead>,
                {dim3(std::min(multiprocessors, a.items)), kThreads, sizeof(KeysShared<kHead>)}, stream, map, query_map,
                dy_block_map, a);
  if (a.parts > 1) {
    launch_kernel(kName, sum_parts_kernel, {dim3(ceil_div(tokens * key_row, 8 * 256)), 256}, stream, a.partial, a.dqkv,
                  a.parts, tokens, padded, static_cast<int>(key_row), static_cast<int>(rows * kHead));
  }
  a.order = work.query_order;
  a.counter = work.counters + 1;
  a.items = static_cast<int>(tiles * heads);
  launch_kernel(kName, queries_kernel<kHead>,
                {dim3(std::min(multiprocessors, a.items)), kThreads, sizeof(QueriesShared<kHead>)}, stream, map, dy_map,
                a);
  return true;
}

}  // namespace

}  // namespace hopper

bool hopper_backward(const FlashAttentionBackward& args, CudaStream& stream) {
  if (!hopper::serves(stream, args.qkv, args.scale, {args.dy, args.qkv, args.y, args.dqkv})) return false;
  if (args.qkv.dims[2] == 64) return hopper::launch<64>(args, stream);
  return hopper::launch<128>(args, stream);
}

}  // namespace ww::cuda
