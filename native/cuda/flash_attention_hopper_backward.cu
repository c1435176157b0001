// Attention backward on Hopper: dk and dv by one kernel, dq by another. Both compute the scores and dP, 7 products
// where one kernel for all needs 5; but P and dS stay in registers, nothing is added up through memory, and sums run in
// a fixed order.

#include <algorithm>

#include "native/cuda/flash_attention_hopper_backward.cuh"

namespace ww::cuda {

namespace hopper {

namespace {

constexpr const char* kName = FlashAttentionBackward::kName;

template <int kHead>
__global__ void __launch_bounds__(256)
    stats_kernel(const bf16* dy, const bf16* y, const float* lse, BlockStats* stats, int tokens, int heads) {
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

// Into how many parts the heads of a group are divided so that every multiprocessor finds work. The number decides how
// dk and dv are rounded, so that it does not depend on the GPU.
int parts_of_group(int64_t items, int64_t group) {
  constexpr int64_t kEnough = 200;
  return static_cast<int>(std::min(group, ceil_div(kEnough, items)));
}

}  // namespace

static bool launch(const FlashAttentionBackward& args, CudaStream& stream) {
  const int64_t tokens = args.qkv.dims[0], rows = args.qkv.dims[1], heads = args.y.dims[1], channels = args.qkv.dims[2];
  const int64_t key_heads = (rows - heads) / 2, tiles = ceil_div(tokens, kTile), padded = tiles * kTile;
  BackwardArgs a;
  a.heads = static_cast<int>(heads);
  a.key_heads = static_cast<int>(key_heads);
  a.group = static_cast<int>(heads / key_heads);
  a.parts = parts_of_group(tiles * key_heads, a.group);
  a.padded = static_cast<int>(padded);
  a.scale = args.scale;
  a.log2_scale = args.scale * kLog2E;
  a.dqkv = args.dqkv.as<bf16>();

  const int64_t stats_bytes = heads * padded / kBlock * sizeof(BlockStats), key_row = 2 * key_heads * channels;
  const int64_t partial_bytes = a.parts > 1 ? a.parts * padded * key_row * 4 : 0;
  char* const memory = static_cast<char*>(stream.scratch(plan_bytes(tokens) + stats_bytes + partial_bytes));
  BlockStats* const stats = reinterpret_cast<BlockStats*>(memory + plan_bytes(tokens));
  a.stats = stats;
  a.partial = a.parts > 1 ? reinterpret_cast<float*>(memory + plan_bytes(tokens) + stats_bytes) : nullptr;
  const Plan work =
      plan(kName, args.positions, args.sequence_start, args.visible_until, args.window, kTile, kTile, memory, stream);
  a.mask = work.mask;
  launch_kernel(kName, channels == 64 ? stats_kernel<64> : stats_kernel<128>, {dim3(padded / kBlock, heads), 256},
                stream, args.dy.as<bf16>(), args.y.as<bf16>(), args.lse.as<float>(), stats, a.mask.tokens, a.heads);

  a.order = work.key_order;
  a.counter = work.counters;
  a.items = static_cast<int>(tiles * key_heads * a.parts);
  if (!differentiate_keys(a, args, stream)) return false;
  if (a.parts > 1) {
    launch_kernel(kName, sum_parts_kernel, {dim3(ceil_div(tokens * key_row, 8 * 256)), 256}, stream, a.partial, a.dqkv,
                  a.parts, tokens, padded, static_cast<int>(key_row), static_cast<int>(rows * channels));
  }
  a.order = work.query_order;
  a.counter = work.counters + 1;
  a.items = static_cast<int>(tiles * heads);
  return differentiate_queries(a, args, stream);
}

}  // namespace hopper

bool hopper_backward(const FlashAttentionBackward& args, CudaStream& stream) {
  return hopper::serves(stream, args.qkv, args.scale, {args.dy, args.qkv, args.y, args.dqkv}) &&
         hopper::launch(args, stream);
}

}  // namespace ww::cuda
