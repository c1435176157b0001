// The mask and the order of work for the attention kernels of Hopper, remade at each launch: a few microseconds.

#include <algorithm>

#include "native/cuda/flash_attention_hopper.cuh"

namespace ww::cuda::hopper {

namespace {

struct PlanArgs {
  const int32_t *positions, *sequence_start, *visible_until;
  uint32_t* reach;
  Bounds *until, *position;
  int *begin, *query_order, *key_order, *counters;
  int tokens, query_tile, key_tile;
};

// The first query that does not see key k for another reason than the window.
__device__ int end_of_visible(const PlanArgs& args, int k) {
  int until = min(max(args.visible_until[k], k + 1), args.tokens);
  if (args.sequence_start[until - 1] <= k) return until;
  int seen = k;  // by itself; `until` is hidden now
  --until;
  while (until - seen > 1) {
    const int middle = seen + (until - seen) / 2;
    if (args.sequence_start[middle] <= k) {
      seen = middle;
    } else {
      until = middle;
    }
  }
  return until;
}

// Estimates of work, in tokens. They may be wrong about tiles with several sequences: only the order depends on them.
__device__ int query_work(const PlanArgs& args, int tile) {
  const int first = tile * args.query_tile;
  return min(first + args.query_tile, args.tokens) - args.sequence_start[first];
}
__device__ int key_work(const PlanArgs& args, int tile) {
  const int first = tile * args.key_tile, last = min(first + args.key_tile, args.tokens) - 1;
  return max(args.visible_until[first], args.visible_until[last]) - first;
}

// Puts tile blockIdx.x at its place of order[].
template <class Work>
__device__ void place_tile(const PlanArgs& args, int tile_size, int* order, const Work& work) {
  const int tile = blockIdx.x, tiles = (args.tokens + tile_size - 1) / tile_size;
  if (tile >= tiles) return;
  const int own = work(args, tile);
  int before = 0;
  for (int other = threadIdx.x; other < tiles; other += kTile) {
    const int its = work(args, other);
    before += its > own || (its == own && other < tile);
  }
  const float place = block_sum(static_cast<float>(before));
  if (threadIdx.x == 0) order[static_cast<int>(place)] = tile;
}

__global__ void __launch_bounds__(kTile) plan_kernel(PlanArgs args) {
  __shared__ Bounds until_of_warps[kTile / kWarp], position_of_warps[kTile / kWarp];
  const int k = blockIdx.x * kTile + threadIdx.x, warp = threadIdx.x / kWarp;
  Bounds until = {0, 0}, position = {INT32_MAX, INT32_MIN};
  if (k < args.tokens) {
    until.min = until.max = end_of_visible(args, k);
    position.min = position.max = args.positions[k];
  }
  args.reach[k] = k < args.tokens ? until.max - k : 0;
  until = {__reduce_min_sync(kAllLanes, until.min), __reduce_max_sync(kAllLanes, until.max)};
  position = {__reduce_min_sync(kAllLanes, position.min), __reduce_max_sync(kAllLanes, position.max)};
  if (threadIdx.x % kWarp == 0) until_of_warps[warp] = until, position_of_warps[warp] = position;
  __syncthreads();
  if (threadIdx.x % kBlock == 0) {
    const auto both = [&](const Bounds* b) { return Bounds{min(b[0].min, b[1].min), max(b[0].max, b[1].max)}; };
    args.until[k / kBlock] = both(until_of_warps + warp);
    args.position[k / kBlock] = both(position_of_warps + warp);
    args.begin[k / kBlock] = k < args.tokens ? max(min(args.sequence_start[k], k), 0) / kTile : 0;
  }
  if (blockIdx.x == 0 && threadIdx.x < 2) args.counters[threadIdx.x] = 0;

  place_tile(args, args.query_tile, args.query_order, query_work);
  if (args.key_tile > 0) place_tile(args, args.key_tile, args.key_order, key_work);
}

}  // namespace

// Blocks of the last tile of 192 queries may lie past the last tile of keys.
static int64_t padded(int64_t tokens) { return round_up(tokens, kTile) + kTile; }

int64_t plan_bytes(int64_t tokens) {
  const int64_t n = padded(tokens);
  return round_up(n * 4 + n / kBlock * (2 * sizeof(Bounds) + 3 * 4) + 2 * 4, 256);
}

Plan plan(const char* name, const Tensor& positions, const Tensor& sequence_start, const Tensor& visible_until,
          int64_t window, int query_tile, int key_tile, void* memory, CudaStream& stream) {
  const int64_t tokens = positions.size(), n = padded(tokens);
  PlanArgs args;
  args.positions = positions.as<int32_t>();
  args.sequence_start = sequence_start.as<int32_t>();
  args.visible_until = visible_until.as<int32_t>();
  args.reach = static_cast<uint32_t*>(memory);
  args.until = reinterpret_cast<Bounds*>(args.reach + n);
  args.position = args.until + n / kBlock;
  args.begin = reinterpret_cast<int*>(args.position + n / kBlock);
  args.query_order = args.begin + n / kBlock;
  args.key_order = args.query_order + n / kBlock;
  args.counters = args.key_order + n / kBlock;
  args.tokens = static_cast<int>(tokens);
  args.query_tile = query_tile;
  args.key_tile = key_tile;
  launch_kernel(name, plan_kernel, {dim3(n / kTile), kTile}, stream, args);
  const int int_window = static_cast<int>(std::min<int64_t>(window, INT32_MAX));
  const Mask mask{args.reach, args.until, args.position, args.begin, args.positions, int_window, args.tokens};
  return {mask, args.query_order, args.key_order, args.counters};
}

}  // namespace ww::cuda::hopper
