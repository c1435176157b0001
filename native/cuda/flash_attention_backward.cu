#include "native/cuda/attention_layout.cuh"
#include "native/cuda/attention_rows.cuh"
#include "native/cuda/attention_tiles.cuh"
#include "native/cuda/flash_attention.h"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = kTileWarps * kWarp;

struct Backward {
  const bf16 *dy, *qkv;
  const float *lse, *delta;
  bf16* dqkv;
  const TileSummary* tiles;
  int heads, key_heads, channels;
  float scale;

  __device__ int64_t stride() const { return int64_t(heads + 2 * key_heads) * channels; }
  __device__ int64_t output_stride() const { return int64_t(heads) * channels; }
  __device__ int64_t query(int head) const { return int64_t(head) * channels; }
  __device__ int64_t key(int group) const { return int64_t(heads + group) * channels; }
  __device__ int64_t value(int group) const { return int64_t(heads + key_heads + group) * channels; }
};

// delta[h,i] = sum_d dy[i,h,d] * y[i,h,d]. Warp (token, head).
template <class T, int kSize>
__global__ void delta_kernel(const T* dy, const T* y, float* delta, int tokens, int heads, int D) {
  const int64_t row = blockIdx.x * int64_t(kThreads / kWarp) + threadIdx.x / kWarp;
  if (row >= int64_t(tokens) * heads) return;
  float sum = 0.0f;
  for (int d = threadIdx.x % kWarp * kSize; d < D; d += kWarp * kSize) {
    const Pack<T, kSize> dys = load<kSize>(dy + row * D + d), ys = load<kSize>(y + row * D + d);
    for (int k = 0; k < kSize; ++k) sum += float(dys[k]) * float(ys[k]);
  }
  sum = warp_sum(sum);
  if (threadIdx.x % kWarp == 0) delta[row % heads * tokens + row / heads] = sum;
}

// Queries that are scored at once: with wide heads the accumulators leave room for half a tile.
template <int kD>
constexpr int kScored = kD > 80 ? 32 : 64;

// Block (query tile, head): dq over the tiles of keys that the queries see.
template <int kD, int kStages>
__global__ void __launch_bounds__(kThreads) flash_query_kernel(Backward a, MaskArrays mask) {
  WW_DYNAMIC_SHARED(bf16, shared);
  using Tile = SharedTile<kD>;
  const Tile q_tile{shared}, dy_tile{shared + Tile::kElements};
  const auto k_tile = [&](int stage) { return Tile{shared + (2 + 2 * stage) * Tile::kElements}; };
  const auto v_tile = [&](int stage) { return Tile{shared + (3 + 2 * stage) * Tile::kElements}; };
  const int tile = gridDim.x - 1 - blockIdx.x, head = blockIdx.y, group = head / (a.heads / a.key_heads), T = mask.T;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, g = lane / 4, t2 = lane % 4 * 2;

  const auto next_seen = [&](int k) {
    while (k <= tile && relation(tile, k, a.tiles, mask) == Relation::none) ++k;
    return k;
  };
  const auto load_keys = [&](int k, int stage) {
    k_tile(stage).load_async(a.qkv + a.key(group), a.stride(), k * kTile, T, a.channels);
    v_tile(stage).load_async(a.qkv + a.value(group), a.stride(), k * kTile, T, a.channels);
  };

  int current = next_seen(max(a.tiles[tile].start_min, 0) / kTile), stage = 0;
  q_tile.load_async(a.qkv + a.query(head), a.stride(), tile * kTile, T, a.channels);
  dy_tile.load_async(a.dy + a.query(head), a.output_stride(), tile * kTile, T, a.channels);
  load_keys(current, stage);
  ptx::cp_async_commit();

  float lse_log2[2], delta[2], acc[kD / 8][4] = {};
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int q = tile * kTile + warp * 16 + g + r * 8;
    const int64_t at = int64_t(head) * T + q;
    lse_log2[r] = q < T ? a.lse[at] * kLog2E : INFINITY;  // makes p 0
    delta[r] = q < T ? a.delta[at] : 0.0f;
  }
  const float scale_log2 = a.scale * kLog2E;

  while (current <= tile) {
    const int next = next_seen(current + 1);
    if (kStages == 2) {
      if (next <= tile) load_keys(next, stage ^ 1);
      ptx::cp_async_commit();
    }
    ptx::cp_async_wait_group<kStages - 1>();
    __syncthreads();

    const bool masked = relation(tile, current, a.tiles, mask) == Relation::some;
#pragma unroll
    for (int part = 0; part < kTile / kScored<kD>; ++part) {
      const int first = part * kScored<kD> / 16;  // in rows of 16 keys
      float s[kScored<kD> / 8][4] = {}, dp[kScored<kD> / 8][4] = {};
      multiply_transposed(s, q_tile, warp, k_tile(stage), first);
      multiply_transposed(dp, dy_tile, warp, v_tile(stage), first);
#pragma unroll
      for (int n = 0; n < kScored<kD> / 8; ++n) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int q = tile * kTile + warp * 16 + g + e / 2 * 8;
          const int k = current * kTile + first * 16 + n * 8 + t2 + e % 2;
          const bool seen = !masked || sees(q, k, mask);
          const float p = seen ? exp2f(s[n][e] * scale_log2 - lse_log2[e / 2]) : 0.0f;
          s[n][e] = p * (dp[n][e] - delta[e / 2]);
        }
      }
      multiply<kD>(acc, s, k_tile(stage), first, 0);
    }
    __syncthreads();  // the next turn loads over this stage

    if (kStages == 1 && next <= tile) {
      load_keys(next, 0);
      ptx::cp_async_commit();
    }
    stage ^= kStages - 1;
    current = next;
  }
  ptx::cp_async_wait_group<0>();

  const float factors[2] = {a.scale, a.scale};
  q_tile.put(acc, factors, warp, 0);
  __syncwarp();
  q_tile.store_rows(a.dqkv + a.query(head), a.stride(), tile * kTile, T, warp, 0, a.channels / 8);
}

// With heads wider than 128 channels two groups of warps share the channels of the accumulators.
template <int kD>
constexpr int kHalves = kD > 128 ? 2 : 1;

// Block (key tile, key head): dk and dv, over the group's query heads and, of each, the tiles of queries that see the
// keys, in order.
template <int kD, int kStages>
__global__ void __launch_bounds__(kThreads* kHalves<kD>) flash_key_kernel(Backward a, MaskArrays mask) {
  WW_DYNAMIC_SHARED(bf16, shared);
  using Tile = SharedTile<kD>;
  const Tile k_tile{shared}, v_tile{shared + Tile::kElements};
  const auto q_tile = [&](int stage) { return Tile{shared + (2 + 2 * stage) * Tile::kElements}; };
  const auto dy_tile = [&](int stage) { return Tile{shared + (3 + 2 * stage) * Tile::kElements}; };
  float* const statistics = reinterpret_cast<float*>(shared + (2 + 2 * kStages) * Tile::kElements);
  const int tile = blockIdx.x, group = blockIdx.y, T = mask.T, per_group = a.heads / a.key_heads;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp % kTileWarps, g = lane / 4, t2 = lane % 4 * 2;
  const int half = threadIdx.x / kThreads, half_chunks = kD / 8 / kHalves<kD>;
  const int last = (min(a.tiles[tile].visible_max, T) - 1) / kTile;

  struct Turn {
    int head, q_tile;
  };
  const auto seen_from = [&](Turn turn) {
    for (; turn.head < (group + 1) * per_group; ++turn.head, turn.q_tile = tile) {
      for (; turn.q_tile <= last; ++turn.q_tile) {
        if (relation(turn.q_tile, tile, a.tiles, mask) != Relation::none) return turn;
      }
    }
    return turn;
  };
  const auto is_over = [&](const Turn& turn) { return turn.head >= (group + 1) * per_group; };
  const auto load_queries = [&](const Turn& turn, int stage) {
    const int first = turn.q_tile * kTile;
    q_tile(stage).load_async(a.qkv + a.query(turn.head), a.stride(), first, T, a.channels);
    dy_tile(stage).load_async(a.dy + a.query(turn.head), a.output_stride(), first, T, a.channels);
    for (int i = threadIdx.x; i < kTile; i += blockDim.x) {
      const int64_t at = int64_t(turn.head) * T + first + i;
      statistics[stage * 2 * kTile + i] = first + i < T ? a.lse[at] * kLog2E : INFINITY;  // makes p 0
      statistics[stage * 2 * kTile + kTile + i] = first + i < T ? a.delta[at] : 0.0f;
    }
  };

  k_tile.load_async(a.qkv + a.key(group), a.stride(), tile * kTile, T, a.channels);
  v_tile.load_async(a.qkv + a.value(group), a.stride(), tile * kTile, T, a.channels);
  Turn current = seen_from({group * per_group, tile});
  int stage = 0;
  load_queries(current, stage);
  ptx::cp_async_commit();

  float dk[kD / 8 / kHalves<kD>][4] = {}, dv[kD / 8 / kHalves<kD>][4] = {};
  const float scale_log2 = a.scale * kLog2E;
  while (!is_over(current)) {
    const Turn next = seen_from({current.head, current.q_tile + 1});
    if (kStages == 2) {
      if (!is_over(next)) load_queries(next, stage ^ 1);
      ptx::cp_async_commit();
    }
    ptx::cp_async_wait_group<kStages - 1>();
    __syncthreads();

    const bool masked = relation(current.q_tile, tile, a.tiles, mask) == Relation::some;
    const float *lse_log2 = statistics + stage * 2 * kTile, *delta = lse_log2 + kTile;
#pragma unroll
    for (int part = 0; part < kTile / kScored<kD>; ++part) {
      const int first = part * kScored<kD> / 16;  // in rows of 16 queries
      float p[kScored<kD> / 8][4] = {}, ds[kScored<kD> / 8][4] = {};
      multiply_transposed(p, k_tile, warp, q_tile(stage), first);
      multiply_transposed(ds, v_tile, warp, dy_tile(stage), first);
#pragma unroll
      for (int n = 0; n < kScored<kD> / 8; ++n) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int column = first * 16 + n * 8 + t2 + e % 2;
          const int q = current.q_tile * kTile + column, k = tile * kTile + warp * 16 + g + e / 2 * 8;
          const bool seen = !masked || sees(q, k, mask);
          p[n][e] = seen ? exp2f(p[n][e] * scale_log2 - lse_log2[column]) : 0.0f;
          ds[n][e] = p[n][e] * (ds[n][e] - delta[column]);
        }
      }
      multiply<kD>(dv, p, dy_tile(stage), first, half * half_chunks / 2);
      multiply<kD>(dk, ds, q_tile(stage), first, half * half_chunks / 2);
    }
    __syncthreads();  // the next turn loads over this stage

    if (kStages == 1 && !is_over(next)) {
      load_queries(next, 0);
      ptx::cp_async_commit();
    }
    stage ^= kStages - 1;
    current = next;
  }
  ptx::cp_async_wait_group<0>();

  // Nobody reads the tiles any more, but for the warps of the other half.
  if (kHalves<kD> > 1) __syncthreads();
  const float scales[2] = {a.scale, a.scale}, ones[2] = {1.0f, 1.0f};
  const int first_chunk = half * half_chunks, end_chunk = min(first_chunk + half_chunks, a.channels / 8);
  k_tile.put(dk, scales, warp, first_chunk / 2);
  v_tile.put(dv, ones, warp, first_chunk / 2);
  __syncwarp();
  if (first_chunk >= end_chunk) return;
  k_tile.store_rows(a.dqkv + a.key(group), a.stride(), tile * kTile, T, warp, first_chunk, end_chunk);
  v_tile.store_rows(a.dqkv + a.value(group), a.stride(), tile * kTile, T, warp, first_chunk, end_chunk);
}

template <class T>
void run_delta(const FlashAttentionBackward& a, float* delta, CudaStream& stream) {
  const int64_t tokens = a.y.dims[0], H = a.y.dims[1], D = a.y.dims[2];
  dispatch_width<T>(D, {a.dy.data, a.y.data}, [&]<int kSize>() {
    launch_kernel(a.kName, delta_kernel<T, kSize>, {dim3(ceil_div(tokens * H, kThreads / kWarp)), kThreads}, stream,
                  a.dy.as<T>(), a.y.as<T>(), delta, tokens, H, D);
  });
}

void run_bf16(const FlashAttentionBackward& a, CudaStream& stream) {
  const int64_t T = a.y.dims[0], H = a.y.dims[1], D = a.y.dims[2], K = (a.qkv.dims[1] - H) / 2;
  const int64_t tile_count = ceil_div(T, kTile), tile_bytes = round_up(tile_count * sizeof(TileSummary), 256);
  const int64_t delta_bytes = round_up(H * T * sizeof(float), 256);
  const MaskArrays mask = mask_arrays(a);
  char* scratch = static_cast<char*>(
      stream.scratch(tile_bytes + delta_bytes + copy_bytes(a.qkv) + copy_bytes(a.dy) + copy_bytes(a.dqkv)));
  TileSummary* const tiles = reinterpret_cast<TileSummary*>(scratch);
  float* const delta = reinterpret_cast<float*>(scratch + tile_bytes);
  scratch += tile_bytes + delta_bytes;
  summarise_tiles(a.kName, mask, tiles, stream);
  run_delta<bf16>(a, delta, stream);
  const int channels = padded_channels(D);
  const bf16* const qkv = padded_input(a.kName, a.qkv, scratch, stream);
  const bf16* const dy = padded_input(a.kName, a.dy, scratch, stream);
  bf16* const dqkv = padded_output(a.dqkv, scratch);
  const Backward arrays{
      dy, qkv, a.lse.as<float>(), delta, dqkv, tiles, static_cast<int>(H), static_cast<int>(K), channels, a.scale};

  dispatch_head_size(channels, [&]<int kD>() {
    const auto launch_stages = [&]<int kStages>() {
      constexpr int64_t kTiles = (2 + 2 * kStages) * SharedTile<kD>::kElements * int64_t(sizeof(bf16));
      launch_kernel(
          a.kName, flash_key_kernel<kD, kStages>,
          {dim3(tile_count, K), kThreads * kHalves<kD>, kTiles + kStages * 2 * kTile * int64_t(sizeof(float))}, stream,
          arrays, mask);
      launch_kernel(a.kName, flash_query_kernel<kD, kStages>, {dim3(tile_count, H), kThreads, kTiles}, stream, arrays,
                    mask);
    };
    constexpr int64_t kTwoStages = 6 * SharedTile<kD>::kElements * int64_t(sizeof(bf16)) + 4 * kTile * sizeof(float);
    if constexpr (kD >= 128) {
      if (kTwoStages > stream.limits().shared_bytes_per_block) return launch_stages.template operator()<1>();
    }
    launch_stages.template operator()<2>();
  });
  finish_output(a.kName, a.dqkv, dqkv, stream);
}

}  // namespace

void run(const FlashAttentionBackward& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  if (a.qkv.size() == 0) return;
  check_mask(cuda, a.kName, a.sequence_start, a.visible_until);
  if (hopper_backward(a, cuda)) return;
  if (a.qkv.dtype == DType::bf16) return run_bf16(a, cuda);
  float* const delta = static_cast<float*>(cuda.scratch(a.lse.bytes()));
  run_delta<float>(a, delta, cuda);
  attention_rows_backward(a, delta, cuda);
}

}  // namespace ww::cuda
