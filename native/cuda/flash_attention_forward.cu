#include "native/cuda/attention_layout.cuh"
#include "native/cuda/attention_rows.cuh"
#include "native/cuda/attention_tiles.cuh"
#include "native/cuda/flash_attention.h"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = kTileWarps * kWarp;

// Block (query tile, head): online softmax over the tiles of keys that the queries see. kStages = 2 loads the next tile
// while this one is multiplied.
template <int kD, int kStages>
__global__ void __launch_bounds__(kThreads)
    flash_forward_kernel(const bf16* qkv, bf16* y, float* lse, const TileSummary* tiles, MaskArrays mask, int heads,
                         int key_heads, int channels, float scale_log2) {
  WW_DYNAMIC_SHARED(bf16, shared);
  using Tile = SharedTile<kD>;
  const Tile q_tile{shared};
  const auto k_tile = [&](int stage) { return Tile{shared + (1 + 2 * stage) * Tile::kElements}; };
  const auto v_tile = [&](int stage) { return Tile{shared + (2 + 2 * stage) * Tile::kElements}; };
  const int tile = gridDim.x - 1 - blockIdx.x;  // the last tiles see most: they go first
  const int head = blockIdx.y, group = head / (heads / key_heads), T = mask.T;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, g = lane / 4, t2 = lane % 4 * 2;
  const int64_t stride = int64_t(heads + 2 * key_heads) * channels;
  const bf16 *keys = qkv + int64_t(heads + group) * channels, *values = keys + int64_t(key_heads) * channels;

  const auto next_seen = [&](int k) {
    while (k <= tile && relation(tile, k, tiles, mask) == Relation::none) ++k;
    return k;
  };
  const auto load_keys = [&](int k, int stage) {
    k_tile(stage).load_async(keys, stride, k * kTile, T, channels);
    v_tile(stage).load_async(values, stride, k * kTile, T, channels);
  };

  int current = next_seen(max(tiles[tile].start_min, 0) / kTile), stage = 0;
  q_tile.load_async(qkv + int64_t(head) * channels, stride, tile * kTile, T, channels);
  load_keys(current, stage);
  ptx::cp_async_commit();

  float acc[kD / 8][4] = {}, peak[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  while (current <= tile) {
    const int next = next_seen(current + 1);
    if (kStages == 2) {
      if (next <= tile) load_keys(next, stage ^ 1);
      ptx::cp_async_commit();
    }
    ptx::cp_async_wait_group<kStages - 1>();
    __syncthreads();

    float s[kTile / 8][4] = {};
    multiply_transposed(s, q_tile, warp, k_tile(stage), 0);
    const bool masked = relation(tile, current, tiles, mask) == Relation::some;
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int q = tile * kTile + warp * 16 + g + e / 2 * 8, k = current * kTile + n * 8 + t2 + e % 2;
        s[n][e] = masked && !sees(q, k, mask) ? -INFINITY : s[n][e] * scale_log2;
      }
    }
    softmax_step(s, acc, peak, sum);
    multiply<kD>(acc, s, v_tile(stage), 0, 0);
    __syncthreads();  // the next turn loads over this stage

    if (kStages == 1 && next <= tile) {
      load_keys(next, 0);
      ptx::cp_async_commit();
    }
    stage ^= kStages - 1;
    current = next;
  }
  ptx::cp_async_wait_group<0>();

  float factors[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float total = row_sum(sum[r]);
    const int q = tile * kTile + warp * 16 + g + r * 8;
    factors[r] = q < T ? 1.0f / total : 0.0f;
    if (q < T && t2 == 0) lse[int64_t(head) * T + q] = peak[r] * kLn2 + logf(total);
  }
  q_tile.put(acc, factors, warp, 0);
  __syncwarp();
  q_tile.store_rows(y + int64_t(head) * channels, int64_t(heads) * channels, tile * kTile, T, warp, 0, channels / 8);
}

void run_bf16(const FlashAttentionForward& a, CudaStream& stream) {
  const int64_t T = a.y.dims[0], H = a.y.dims[1], D = a.y.dims[2], K = (a.qkv.dims[1] - H) / 2;
  const int64_t tile_count = ceil_div(T, kTile), tile_bytes = round_up(tile_count * sizeof(TileSummary), 256);
  const MaskArrays mask = mask_arrays(a);
  char* scratch = static_cast<char*>(stream.scratch(tile_bytes + copy_bytes(a.qkv) + copy_bytes(a.y)));
  TileSummary* const tiles = reinterpret_cast<TileSummary*>(scratch);
  scratch += tile_bytes;
  summarise_tiles(a.kName, mask, tiles, stream);
  const bf16* const qkv = padded_input(a.kName, a.qkv, scratch, stream);
  bf16* const y = padded_output(a.y, scratch);

  const int64_t channels = padded_channels(D);
  dispatch_head_size(channels, [&]<int kD>() {
    const auto launch_stages = [&]<int kStages>() {
      launch_kernel(
          a.kName, flash_forward_kernel<kD, kStages>,
          {dim3(tile_count, H), kThreads, (1 + 2 * kStages) * SharedTile<kD>::kElements * int64_t(sizeof(bf16))},
          stream, qkv, y, a.lse.as<float>(), tiles, mask, H, K, channels, a.scale * kLog2E);
    };
    constexpr int64_t kTwoStages = 5 * SharedTile<kD>::kElements * int64_t(sizeof(bf16));
    if constexpr (kD > 128) {
      if (kTwoStages > stream.limits().shared_bytes_per_block) return launch_stages.template operator()<1>();
    }
    launch_stages.template operator()<2>();
  });
  finish_output(a.kName, a.y, y, stream);
}

}  // namespace

void run(const FlashAttentionForward& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  if (a.qkv.size() == 0) return;
  check_mask(cuda, a.kName, a.sequence_start, a.visible_until);
  if (hopper_forward(a, cuda)) return;
  if (a.qkv.dtype == DType::bf16) return run_bf16(a, cuda);
  attention_rows_forward(a, cuda);
}

}  // namespace ww::cuda
