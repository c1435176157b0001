#pragma once

// What the attention kernels share: tiles of 64 tokens in shared memory, which tiles see which, and products of them.

#include "native/cuda/ptx.cuh"
#include "native/kernels/flash_attention.h"

namespace ww::cuda {

constexpr int kTile = 64;
constexpr int kTileWarps = kTile / 16;  // a warp owns 16 rows of a tile
constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

struct MaskArrays {
  const int32_t *positions, *sequence_start, *visible_until;
  int T, window;  // window 0: none
};

// The extremes of a tile's tokens.
struct TileSummary {
  int visible_min, visible_max, position_min, position_max, start_min, start_max;
};

enum class Relation { none, some, all };

// How much of a tile of keys the tile of queries sees.
__device__ __forceinline__ Relation relation(int q_tile, int k_tile, const TileSummary* tiles, const MaskArrays& mask) {
  const TileSummary &q = tiles[q_tile], &k = tiles[k_tile];
  const int q_first = q_tile * kTile, q_last = q_first + kTile - 1, k_first = k_tile * kTile,
            k_last = k_first + kTile - 1;
  const int window = mask.window;
  if (k_first > q_last || k.visible_max <= q_first || q.start_min > k_last) return Relation::none;
  if (window > 0 && q.position_min - k.position_max >= window) return Relation::none;
  const bool all = k_last <= q_first && k.visible_min > q_last && q.start_max <= k_first && q_last < mask.T &&
                   (window == 0 || q.position_max - k.position_min < window);
  return all ? Relation::all : Relation::some;
}

__device__ __forceinline__ bool sees(int q, int k, const MaskArrays& mask) {
  return q < mask.T && k < mask.T &&
         is_visible(q, k, mask.positions, mask.sequence_start, mask.visible_until, mask.window);
}

// Enqueues the summaries of all tiles into `tiles`, ceil(T / kTile) of them.
void summarise_tiles(const char* kernel, const MaskArrays& mask, TileSummary* tiles, CudaStream& stream);

// A tile [64, kD] of bf16 in shared memory. 16 bytes behind each row let ldmatrix meet every bank once: a row is then
// an odd number of 16 bytes long, since kD is a multiple of 16.
template <int kD>
struct SharedTile {
  static constexpr int kRow = kD + 8, kElements = kTile * kRow;

  bf16* data;

  __device__ __forceinline__ bf16* chunk(int row, int c) const { return data + row * kRow + c * 8; }

  // Rows first..first + 63 of [T, stride], `channels` of each, a multiple of 8; what lies beyond either is zero.
  __device__ __forceinline__ void load_async(const bf16* from, int64_t stride, int first, int T, int channels) const {
    constexpr int kChunks = kD / 8;
    for (int i = threadIdx.x; i < kTile * kChunks; i += blockDim.x) {
      const int row = i / kChunks, c = i % kChunks;
      const bool valid = first + row < T && c * 8 < channels;
      ptx::cp_async_16(chunk(row, c), from + (valid ? (first + row) * stride + c * 8 : 0), valid);
    }
  }

  // As the left operand: rows 16 w..16 w + 15, channels 16 k..16 k + 15.
  __device__ __forceinline__ void left(uint32_t fragment[4], int w, int k) const {
    const int lane = threadIdx.x % kWarp;
    ptx::ldmatrix_x4(fragment, chunk(w * 16 + lane % 16, k * 2 + lane / 16));
  }
  // As the right operand, transposed (x y^T): rows 16 n..16 n + 15 become two columns of 8; channels as above.
  __device__ __forceinline__ void right_transposed(uint32_t fragment[4], int n, int k) const {
    const int lane = threadIdx.x % kWarp;
    ptx::ldmatrix_x4(fragment, chunk(n * 16 + lane / 16 * 8 + lane % 8, k * 2 + lane / 8 % 2));
  }
  // As the right operand (x y): rows 16 k..16 k + 15 are summed over, channels 16 n..16 n + 15 are two columns of 8.
  __device__ __forceinline__ void right(uint32_t fragment[4], int k, int n) const {
    const int lane = threadIdx.x % kWarp;
    ptx::ldmatrix_x4_trans(fragment, chunk(k * 16 + lane % 16, n * 2 + lane / 16));
  }

  // Writes a warp's 16 rows of accumulators, columns 16 first_n.., times `factors` of the rows g and g + 8.
  template <int kColumns>
  __device__ __forceinline__ void put(const float (&acc)[kColumns][4], const float factors[2], int w,
                                      int first_n) const {
    const int lane = threadIdx.x % kWarp, g = lane / 4, t2 = lane % 4 * 2;
    for (int n = 0; n < kColumns; ++n) {
      for (int r = 0; r < 2; ++r) {
        bf16* const at = data + (w * 16 + g + r * 8) * kRow + first_n * 16 + n * 8 + t2;
        at[0] = bf16(acc[n][r * 2] * factors[r]);
        at[1] = bf16(acc[n][r * 2 + 1] * factors[r]);
      }
    }
  }

  // Copies a warp's 16 rows, chunks first_chunk..end_chunk - 1, to rows first + 16 w.. of [T, stride].
  __device__ __forceinline__ void store_rows(bf16* to, int64_t stride, int first, int T, int w, int first_chunk,
                                             int end_chunk) const {
    const int chunks = end_chunk - first_chunk;
    for (int i = threadIdx.x % kWarp; i < 16 * chunks; i += kWarp) {
      const int row = w * 16 + i / chunks, c = first_chunk + i % chunks;
      if (first + row >= T) continue;
      store(to + (first + row) * stride + c * 8, load<8>(chunk(row, c)));
    }
  }
};

__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return uint32_t(__bfloat16_as_ushort(pair.x)) | uint32_t(__bfloat16_as_ushort(pair.y)) << 16;
}

// Accumulators of 16 x 16, two columns of 8, as a left operand.
__device__ __forceinline__ void as_left(uint32_t fragment[4], const float a[4], const float b[4]) {
  fragment[0] = pack_bf16(a[0], a[1]);
  fragment[1] = pack_bf16(a[2], a[3]);
  fragment[2] = pack_bf16(b[0], b[1]);
  fragment[3] = pack_bf16(b[2], b[3]);
}

// acc += x y^T for a warp's 16 rows of x and rows 16 first.. of y.
template <int kD, int kColumns>
__device__ __forceinline__ void multiply_transposed(float (&acc)[kColumns][4], const SharedTile<kD>& x, int w,
                                                    const SharedTile<kD>& y, int first) {
#pragma unroll
  for (int k = 0; k < kD / 16; ++k) {
    uint32_t left[4];
    x.left(left, w, k);
#pragma unroll
    for (int n = 0; n < kColumns / 2; ++n) {
      uint32_t right[4];
      y.right_transposed(right, first + n, k);
      ptx::mma_m16n8k16_bf16(acc[2 * n], left, right, acc[2 * n]);
      ptx::mma_m16n8k16_bf16(acc[2 * n + 1], left, right + 2, acc[2 * n + 1]);
    }
  }
}

// acc += p y for a warp's p [16, 8 kInner], rows 16 first.. of y, and channels 16 first_n.. of y.
template <int kD, int kInner, int kColumns>
__device__ __forceinline__ void multiply(float (&acc)[kColumns][4], const float (&p)[kInner][4],
                                         const SharedTile<kD>& y, int first, int first_n) {
#pragma unroll
  for (int k = 0; k < kInner / 2; ++k) {
    uint32_t left[4];
    as_left(left, p[2 * k], p[2 * k + 1]);
#pragma unroll
    for (int n = 0; n < kColumns / 2; ++n) {
      uint32_t right[4];
      y.right(right, first + k, first_n + n);
      ptx::mma_m16n8k16_bf16(acc[2 * n], left, right, acc[2 * n]);
      ptx::mma_m16n8k16_bf16(acc[2 * n + 1], left, right + 2, acc[2 * n + 1]);
    }
  }
}

// One step of an online softmax over a warp's 16 rows: `s`, the scores of some keys in units of ln 2 with -INFINITY for
// those that are not seen, become weights relative to the highest score so far, peak[r] of rows g and g + 8. What was
// summed up before follows it: acc, and sum, a lane's share of the weights' sum.
template <int kScores, int kColumns>
__device__ __forceinline__ void softmax_step(float (&s)[kScores][4], float (&acc)[kColumns][4], float peak[2],
                                             float sum[2]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float higher = peak[r];
#pragma unroll
    for (int n = 0; n < kScores; ++n) higher = fmaxf(higher, fmaxf(s[n][r * 2], s[n][r * 2 + 1]));
    higher = fmaxf(higher, __shfl_xor_sync(kAllLanes, higher, 1));
    higher = fmaxf(higher, __shfl_xor_sync(kAllLanes, higher, 2));
    const float base = higher == -INFINITY ? 0.0f : higher;  // nothing seen yet
    const float shrink = exp2f(peak[r] - base);
    peak[r] = higher;
    sum[r] *= shrink;
#pragma unroll
    for (int n = 0; n < kColumns; ++n) acc[n][r * 2] *= shrink, acc[n][r * 2 + 1] *= shrink;
#pragma unroll
    for (int n = 0; n < kScores; ++n) {
      sum[r] += s[n][r * 2] = exp2f(s[n][r * 2] - base);
      sum[r] += s[n][r * 2 + 1] = exp2f(s[n][r * 2 + 1] - base);
    }
  }
}

// A row's sum of weights, of which each of four lanes has a share.
__device__ __forceinline__ float row_sum(float share) {
  share += __shfl_xor_sync(kAllLanes, share, 1);
  return share + __shfl_xor_sync(kAllLanes, share, 2);
}

// Head sizes that kernels are compiled for; others are padded with zeros to the next.
template <class Body>
void dispatch_head_size(int64_t D, const Body& body) {
  if (D <= 48) return body.template operator()<48>();
  if (D <= 64) return body.template operator()<64>();
  if (D <= 80) return body.template operator()<80>();
  if (D <= 96) return body.template operator()<96>();
  if (D <= 128) return body.template operator()<128>();
  return body.template operator()<256>();
}

}  // namespace ww::cuda
