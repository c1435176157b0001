// The mask and the order of work for the attention kernels of Hopper, remade at each launch: a few microseconds.

#include "native/cuda/flash_attention_hopper.cuh"

namespace ww::cuda::hopper {

namespace {

struct PlanArgs {
  const int32_t *positions, *sequence_start, *visible_until;
  uint32_t* reach;
  MaskBlock* blocks;
  int *query_order, *key_order, *counters;
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
  __shared__ MaskBlock of_warps[kTile / kWarp];
  const int k = blockIdx.x * kTile + threadIdx.x, warp = threadIdx.x / kWarp;
  MaskBlock bounds = {0, 0, INT32_MAX, INT32_MIN};
  if (k < args.tokens) {
    const int until = end_of_visible(args, k), position = args.positions[k];
    bounds = {until, until, position, position};
  }
  args.reach[k] = k < args.tokens ? bounds.until_max - k : 0;
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    bounds.until_min = min(bounds.until_min, __shfl_xor_sync(kAllLanes, bounds.until_min, offset));
    bounds.until_max = max(bounds.until_max, __shfl_xor_sync(kAllLanes, bounds.until_max, offset));
    bounds.position_min = min(bounds.position_min, __shfl_xor_sync(kAllLanes, bounds.position_min, offset));
    bounds.position_max = max(bounds.position_max, __shfl_xor_sync(kAllLanes, bounds.position_max, offset));
  }
  if (threadIdx.x % kWarp == 0) of_warps[warp] = bounds;
  __syncthreads();
  if (threadIdx.x % kBlock == 0) {
    const MaskBlock &a = of_warps[warp], &b = of_warps[warp + 1];
    args.blocks[k / kBlock] = {min(a.until_min, b.until_min), max(a.until_max, b.until_max),
                               min(a.position_min, b.position_min), max(a.position_max, b.position_max)};
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
  return round_up(n * 4 + n / kBlock * sizeof(MaskBlock) + n / kBlock * 2 * 4 + 2 * 4, 256);
}

Plan plan(const char* name, const Tensor& positions, const Tensor& sequence_start, const Tensor& visible_until,
          int64_t window, int query_tile, int key_tile, void* memory, CudaStream& stream) {
  const int64_t tokens = positions.size(), n = padded(tokens);
  PlanArgs args;
  args.positions = positions.as<int32_t>();
  args.sequence_start = sequence_start.as<int32_t>();
  args.visible_until = visible_until.as<int32_t>();
  args.reach = static_cast<uint32_t*>(memory);
  args.blocks = reinterpret_cast<MaskBlock*>(args.reach + n);
  args.query_order = reinterpret_cast<int*>(args.blocks + n / kBlock);
  args.key_order = args.query_order + n / kBlock;
  args.counters = args.key_order + n / kBlock;
  args.tokens = static_cast<int>(tokens);
  args.query_tile = query_tile;
  args.key_tile = key_tile;
  launch_kernel(name, plan_kernel, {dim3(n / kTile), kTile}, stream, args);
  const Mask mask{args.reach, args.blocks, args.positions, window, args.tokens};
  return {mask, args.query_order, args.key_order, args.counters};
}

}  // namespace ww::cuda::hopper
