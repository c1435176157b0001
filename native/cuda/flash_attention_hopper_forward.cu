// Attention forward on Hopper. A block stays on its multiprocessor and draws (tile of queries, head) after (tile of
// queries, head). One thread loads tiles by TMA; each consumer, a warpgroup, keeps 64 queries: scores S = Q K^T,
// softmax, y += P V with P in registers. While the scores of a tile are turned into P, those of the next are computed,
// and the consumers take turns with the tensor cores (Shah et al., arXiv:2407.08608).

#include <algorithm>

#include "native/cuda/flash_attention_hopper.cuh"

namespace ww::cuda {

namespace hopper {

namespace {

constexpr const char* kName = FlashAttentionForward::kName;

struct Work {
  int first;  // query; -1: no more
  int head;
};

template <int kHead>
struct Forward {
  static constexpr int kConsumers = kHead == 64 ? 3 : 2;
  static constexpr int kThreads = (kConsumers + 1) * kWarpgroup;
  static constexpr int kQueries = kConsumers * kBlock;
  static constexpr int kKeys = kTile;
  static constexpr int kSlots = kHead == 64 ? 8 : 5;  // of keys or values
  static constexpr int kQueryBytes = kQueries * kHead * 2;
  static constexpr int kSlotBytes = kKeys * kHead * 2;
  static constexpr int kReachBytes = kKeys * 4;

  struct Shared {
    alignas(1024) unsigned char queries[2][kQueryBytes];
    alignas(1024) unsigned char ring[kSlots][kSlotBytes];  // keys 0, keys 1, values 0, keys 2, values 1, ...
    uint32_t reach[kSlots][kKeys];                         // of keys
    uint64_t queries_full[2], queries_empty[2], full[kSlots], empty[kSlots];
    Work work[2];       // of queries
    int steps[kSlots];  // Step::word, of keys
  };
};

struct ForwardArgs {
  Mask mask;
  const int* order;
  int* counter;
  bf16* y;
  float* lse;
  int heads, key_heads, group, items;
  float scale;
};

template <int kHead>
__device__ __forceinline__ void produce(typename Forward<kHead>::Shared& shared, const ptx::TensorMap* query_map,
                                        const ptx::TensorMap* key_map, const ForwardArgs& args) {
  using F = Forward<kHead>;
  Place<F::kSlots> place;
  Place<2> queries;
  int item = blockIdx.x;
  const auto load = [&](int head, int key_tile, int step) {  // keys come with a step
    uint64_t* const full = &shared.full[place.slot];
    ptx::mbarrier_wait(&shared.empty[place.slot], place.parity ^ 1);
    if (step >= 0) {
      shared.steps[place.slot] = step;
      ptx::mbarrier_arrive_expect(full, F::kSlotBytes + F::kReachBytes);
      ptx::bulk_load(shared.reach[place.slot], args.mask.reach + key_tile * F::kKeys, full, F::kReachBytes);
    } else {
      ptx::mbarrier_arrive_expect(full, F::kSlotBytes);
    }
#pragma unroll
    for (int column = 0; column < kHead; column += 64) {
      ptx::tma_load(shared.ring[place.slot] + column * F::kKeys * 2, key_map, full, column, head, key_tile * F::kKeys);
    }
    place.advance();
  };
  while (true) {
    uint64_t* const full = &shared.queries_full[queries.slot];
    ptx::mbarrier_wait(&shared.queries_empty[queries.slot], queries.parity ^ 1);
    if (item >= args.items) {
      shared.work[queries.slot].first = -1;
      ptx::mbarrier_arrive(full);
      return;
    }
    const int tile = args.order[item / args.heads], head = item % args.heads;
    shared.work[queries.slot] = {tile * F::kQueries, head};
    ptx::mbarrier_arrive_expect(full, F::kQueryBytes);
#pragma unroll
    for (int column = 0; column < kHead; column += 64) {
      ptx::tma_load(shared.queries[queries.slot] + column * F::kQueries * 2, query_map, full, column, head,
                    tile * F::kQueries);
    }
    queries.advance();
    const int key_head = args.heads + head / args.group, value_head = key_head + args.key_heads;
    const int first = tile * F::kQueries;
    int step = next_keys<F::kQueries>(args.mask, first, end_of_keys<F::kQueries>(args.mask, first));
    int previous = -1;
    do {
      const int key_tile = step >> Step::kTileShift;
      if (step >= 0) {
        const int next = next_keys<F::kQueries>(args.mask, first, key_tile);
        load(key_head, key_tile, next < 0 ? step | Step::kLast : step);
        step = next;
      }
      if (previous >= 0) load(value_head, previous, -1);
      previous = key_tile;
    } while (previous >= 0);
    item = gridDim.x + atomicAdd(args.counter, 1);  // not sooner, for want of registers
  }
}

// One warpgroup's 64 queries: softmax over the tiles seen so far. A lane has two rows, 8 apart.
struct Softmax {
  float maximum[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0, 0};  // of this lane's columns

  // Turns scores into exp2(scale (s - maximum)); what came before has to be multiplied by `correction`.
  template <int kSize>
  __device__ __forceinline__ void apply(float (&s)[kSize], float scale, float (&correction)[2]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = maximum[half];
#pragma unroll
      for (int i = 2 * half; i < kSize; i += 4) most = fmaxf(most, fmaxf(s[i], s[i + 1]));
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
      const float base = most == -INFINITY ? 0.0f : most * scale;
      correction[half] = ptx::fast_exp2(maximum[half] * scale - base);
      maximum[half] = most;
      float total = 0;
#pragma unroll
      for (int i = 2 * half; i < kSize; i += 4) {
        s[i] = ptx::fast_exp2(s[i] * scale - base);
        s[i + 1] = ptx::fast_exp2(s[i + 1] * scale - base);
        total += s[i] + s[i + 1];
      }
      sum[half] = sum[half] * correction[half] + total;
    }
  }
};

template <int kHead>
class Consumer {
 public:
  using F = Forward<kHead>;
  __device__ __forceinline__ Consumer(typename F::Shared& shared, const ForwardArgs& args, int index)
      : shared_(shared), args_(args), index_(index), lane_(threadIdx.x % kWarp), warp_(threadIdx.x / kWarp % 4) {}

  __device__ __forceinline__ void run() {
    // Consumer 0 begins.
    if (index_ == F::kConsumers - 1) ptx::named_barrier_arrive(1, 2 * kWarpgroup);
    while (true) {
      ptx::mbarrier_wait(&shared_.queries_full[queries_.slot], queries_.parity);
      if (__shfl_sync(kAllLanes, shared_.work[queries_.slot].first, 0) < 0) break;
      attend();
      release(&shared_.queries_empty[queries_.slot]);
      queries_.advance();
    }
    if (index_ == 0) ptx::named_barrier_sync(1, 2 * kWarpgroup);
  }

 private:
  __device__ __forceinline__ void attend() {
    float s[F::kKeys / 2], y[kHead / 2] = {}, correction[2];
    uint32_t p[F::kKeys / 4];
    Softmax softmax;
    const float scale = args_.scale * kLog2E;

    int key = next_slot();
    Step step = read_step(key);
    scores(s, key);
    ptx::wgmma_wait<0>();
    ptx::keep(s);
    hide(s, args_.mask, step, index_, first_query(), shared_.reach[key]);
    release(&shared_.empty[key]);
    softmax.apply(s, scale, correction);
    pack_bf16(p, s);
    while (!step.is_last()) {
      key = next_slot();
      step = read_step(key);
      ptx::named_barrier_sync(1 + index_, 2 * kWarpgroup);
      scores(s, key);
      const int value = next_slot();
      values(y, p, value);
      ptx::named_barrier_arrive(1 + (index_ + 1) % F::kConsumers, 2 * kWarpgroup);
      ptx::wgmma_wait<1>();
      ptx::keep(s);
      hide(s, args_.mask, step, index_, first_query(), shared_.reach[key]);
      release(&shared_.empty[key]);
      softmax.apply(s, scale, correction);
      ptx::wgmma_wait<0>();
      ptx::keep(y);
      ptx::keep(p);
      release(&shared_.empty[value]);
#pragma unroll
      for (int i = 0; i < kHead / 2; ++i) y[i] *= correction[i / 2 % 2];
      pack_bf16(p, s);
    }
    const int value = next_slot();
    values(y, p, value);
    ptx::wgmma_wait<0>();
    ptx::keep(y);
    ptx::keep(p);
    release(&shared_.empty[value]);
    finish(y, softmax);
  }

  // Of this lane's two queries.
  __device__ __forceinline__ int first_query() {
    return shared_.work[queries_.slot].first + index_ * kBlock + warp_ * 16 + lane_ / 4;
  }

  // Waits for the next slot of the ring to fill.
  __device__ __forceinline__ int next_slot() {
    const int slot = place_.slot;
    ptx::mbarrier_wait(&shared_.full[slot], place_.parity);
    place_.advance();
    return slot;
  }
  __device__ __forceinline__ Step read_step(int slot) { return {__shfl_sync(kAllLanes, shared_.steps[slot], 0)}; }
  __device__ __forceinline__ void scores(float (&s)[F::kKeys / 2], int slot) {
    ptx::wgmma_fence();
    multiply<kHead, F::kQueries, F::kKeys>(s, shared_.queries[queries_.slot], index_ * kBlock, shared_.ring[slot]);
    ptx::wgmma_commit();
  }
  __device__ __forceinline__ void values(float (&y)[kHead / 2], const uint32_t (&p)[F::kKeys / 4], int slot) {
    ptx::wgmma_fence();
    multiply_add<F::kKeys>(y, p, shared_.ring[slot]);
    ptx::wgmma_commit();
  }

  __device__ __forceinline__ void finish(const float (&y)[kHead / 2], const Softmax& softmax) {
    const int row = first_query(), head = shared_.work[queries_.slot].head;
    const int tokens = args_.mask.tokens;
    float factor[2];
    bool valid[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = softmax.sum[half];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      factor[half] = 1.0f / sum;
      const int q = row + 8 * half;
      valid[half] = q < tokens;
      if (valid[half] && lane_ % 4 == 0) {
        args_.lse[static_cast<int64_t>(head) * tokens + q] = softmax.maximum[half] * args_.scale + logf(sum);
      }
    }
    const int64_t pitch = static_cast<int64_t>(args_.heads) * kHead;
    store_rows(y, factor, args_.y + row * pitch + head * kHead, pitch, valid);
  }

  typename F::Shared& shared_;
  const ForwardArgs& args_;
  const int index_, lane_, warp_;
  Place<F::kSlots> place_;
  Place<2> queries_;
};

template <int kHead>
__global__ void __launch_bounds__(Forward<kHead>::kThreads, 1)
    forward_kernel(const __grid_constant__ ptx::TensorMap query_map, const __grid_constant__ ptx::TensorMap key_map,
                   const __grid_constant__ ForwardArgs args) {
#if WW_HOPPER_CODE
  using F = Forward<kHead>;
  WW_DYNAMIC_SHARED(typename F::Shared, memory);
  typename F::Shared& shared = *memory;
  if (threadIdx.x == 0) {
    for (int i = 0; i < 2; ++i) {
      ptx::mbarrier_init(&shared.queries_full[i], 1);
      ptx::mbarrier_init(&shared.queries_empty[i], F::kConsumers * 4);
    }
    for (int i = 0; i < F::kSlots; ++i) {
      ptx::mbarrier_init(&shared.full[i], 1);
      ptx::mbarrier_init(&shared.empty[i], F::kConsumers * 4);
    }
    ptx::fence_mbarrier_init();
  }
  __syncthreads();
  const int warpgroup = __shfl_sync(kAllLanes, threadIdx.x / kWarpgroup, 0);
  if (warpgroup == F::kConsumers) {
    ptx::lower_registers<F::kConsumers == 3 ? 32 : 40>();
    if (threadIdx.x == F::kConsumers * kWarpgroup) produce<kHead>(shared, &query_map, &key_map, args);
  } else {
    ptx::raise_registers<F::kConsumers == 3 ? 160 : 232>();
    Consumer<kHead>(shared, args, warpgroup).run();
  }
#else
  __trap();
#endif
}

template <int kHead>
bool launch(const FlashAttentionForward& args, CudaStream& stream) {
  using F = Forward<kHead>;
  const int64_t tokens = args.qkv.dims[0], rows = args.qkv.dims[1], heads = args.y.dims[1];
  ptx::TensorMap query_map, key_map;
  if (!ptx::make_tensor_map(&query_map, args.qkv.as<bf16>(), tokens, rows, kHead, F::kQueries) ||
      !ptx::make_tensor_map(&key_map, args.qkv.as<bf16>(), tokens, rows, kHead, F::kKeys)) {
    return false;
  }
  const Plan work = plan(kName, args.positions, args.sequence_start, args.visible_until, args.window, F::kQueries, 0,
                         stream.scratch(plan_bytes(tokens)), stream);
  ForwardArgs a;
  a.mask = work.mask;
  a.order = work.query_order;
  a.counter = work.counters;
  a.y = args.y.as<bf16>();
  a.lse = args.lse.as<float>();
  a.heads = static_cast<int>(heads);
  a.key_heads = static_cast<int>(rows - heads) / 2;
  a.group = a.heads / a.key_heads;
  a.items = static_cast<int>(ceil_div(tokens, F::kQueries) * heads);
  a.scale = args.scale;
  const int blocks = std::min(stream.limits().multiprocessors, a.items);
  launch_kernel(kName, forward_kernel<kHead>, {dim3(blocks), F::kThreads, sizeof(typename F::Shared)}, stream,
                query_map, key_map, a);
  return true;
}

}  // namespace

}  // namespace hopper

bool hopper_forward(const FlashAttentionForward& args, CudaStream& stream) {
  if (!hopper::serves(stream, args.qkv, args.scale, {args.qkv, args.y})) return false;
  if (args.qkv.dims[2] == 64) return hopper::launch<64>(args, stream);
  return hopper::launch<128>(args, stream);
}

}  // namespace ww::cuda
