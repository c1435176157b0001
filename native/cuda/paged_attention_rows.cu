// Attention over pages in f32, a warp for each row of a head: exact products, no tensor cores.

#include <algorithm>

#include "native/cuda/paged_attention.cuh"
#include "native/cuda/ptx.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarp;
constexpr int kTile = kWarp;  // keys in shared memory, one to a lane
constexpr int kSplit = 256;   // keys of a partial result; both kinds begin at multiples of their size
constexpr int kRows = 4;      // of a warp: query heads of tokens
constexpr int kBlockRows = kRows * kWarps;
constexpr float kLog2E = 1.44269504f;

struct Shape {
  int heads, key_heads, D, shared;  // `shared` query heads to a key head
  int block_heads, block_tokens;    // rows of a block: query heads of one key head, tokens
  float scale;                      // in units of ln 2
};

// A softmax over some keys of one row: sum_j 2^(score - top) * v[j, lane + 32 i], and what that is to be divided by.
template <int kChannels>
struct Sums {
  float top = -INFINITY, total = 0.0f, acc[kChannels] = {};

  // Additions are spelled out as fmaf, so that no compiler rounds them one way here and another there: all who join
  // parts in order get the same bits. `other` holds a key.
  __device__ __forceinline__ void join(const Sums& other) {
    const float higher = fmaxf(top, other.top), shrink = exp2f(top - higher), other_shrink = exp2f(other.top - higher);
    top = higher;
    total = fmaf(total, shrink, other.total * other_shrink);
#pragma unroll
    for (int i = 0; i < kChannels; ++i) acc[i] = fmaf(acc[i], shrink, other.acc[i] * other_shrink);
  }

  // Partial results lie in global memory as [kChannels, 32], top, total.
  static constexpr int kFloats = kChannels * kWarp + 2;
  __device__ __forceinline__ void write_partial(float* to, int lane) const {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) to[i * kWarp + lane] = acc[i];
    if (lane == 0) to[kChannels * kWarp] = top, to[kChannels * kWarp + 1] = total;
  }
  __device__ __forceinline__ void read_partial(const float* from, int lane) {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) acc[i] = from[i * kWarp + lane];
    top = from[kChannels * kWarp];
    total = from[kChannels * kWarp + 1];
  }

  __device__ __forceinline__ void write(float* y, int D, int lane) const {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      if (lane + i * kWarp < D) y[lane + i * kWarp] = acc[i] / total;
    }
  }
};

// Block (tokens, query heads of a key head, split): its rows over the keys of one split, whose sums become partials, or
// over all splits if there are no partials. Tokens of one sequence that follow each other read its keys together. Rows
// are dealt out to the warps in turn.
template <int kChannels>
__global__ void __launch_bounds__(kThreads)
    paged_rows_kernel(const float* qkv, const float* k_cache, const float* v_cache, PagedTokens tokens, float* y,
                      float* partials, int64_t num_splits, Shape shape) {
  constexpr int kKeyRow = kChannels * kWarp + 1;  // an odd number: lanes then read a channel of their keys at once
  WW_DYNAMIC_SHARED(float, memory);
  float (*const keys)[kKeyRow] = reinterpret_cast<float (*)[kKeyRow]>(memory);
  float (*const values)[kChannels * kWarp] = reinterpret_cast<float (*)[kChannels * kWarp]>(keys + kTile);
  float (*const queries)[kChannels * kWarp] = values + kTile;

  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, D = shape.D;
  const int head_blocks = shape.shared / shape.block_heads, group = blockIdx.y / head_blocks;
  const int first_head = group * shape.shared + blockIdx.y % head_blocks * shape.block_heads;
  const int64_t first_token = blockIdx.x * int64_t(shape.block_tokens);
  const int num_tokens = static_cast<int>(min(int64_t(shape.block_tokens), tokens.T - first_token));
  const int num_rows = num_tokens * shape.block_heads;
  const auto token_of = [&](int row) { return first_token + row / shape.block_heads; };
  const auto head_of = [&](int row) { return first_head + row % shape.block_heads; };

  PagedTokens::Keys seen[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int row = warp + r * kWarps;
    seen[r] = row < num_rows ? tokens.keys(token_of(row)) : PagedTokens::Keys{0, 0};
    if (row >= num_rows) continue;
    const float* const q = qkv + (token_of(row) * (shape.heads + 2 * shape.key_heads) + head_of(row)) * D;
    for (int d = lane; d < D; d += kWarp) queries[row][d] = shape.scale * q[d];
  }

  const int64_t first_split = partials != nullptr ? blockIdx.z : 0;
  const int64_t end_split = partials != nullptr ? blockIdx.z + 1 : num_splits;
  for (int from = 0, to; from < num_tokens; from = to) {
    // The tokens [from, to) are of one sequence, and see keys of `all`.
    const int64_t sequence = tokens.sequences[first_token + from];
    PagedTokens::Keys all = tokens.keys(first_token + from);
    for (to = from + 1; to < num_tokens && tokens.sequences[first_token + to] == sequence; ++to) {
      const PagedTokens::Keys more = tokens.keys(first_token + to);
      if (more.begin >= more.end) continue;
      all = all.begin < all.end ? PagedTokens::Keys{min(all.begin, more.begin), max(all.end, more.end)} : more;
    }
    Sums<kChannels> sums[kRows];
    for (int64_t split = max(first_split, all.begin / kSplit); split < end_split && split * kSplit < all.end; ++split) {
      Sums<kChannels> part[kRows];
      const int64_t split_end = min(all.end, (split + 1) * kSplit);
      for (int64_t start = max(split * kSplit, all.begin / kTile * kTile); start < split_end; start += kTile) {
        const bool is_seen = start + lane >= all.begin && start + lane < all.end;
        const int64_t own_slot = is_seen ? tokens.slot(sequence, start + lane) : -1;
        __syncthreads();
        for (int j = warp; j < kTile; j += kWarps) {
          const int64_t slot = __shfl_sync(kAllLanes, own_slot, j), at = (slot * shape.key_heads + group) * D;
          for (int d = lane; d < D; d += kWarp) {
            keys[j][d] = slot >= 0 ? k_cache[at + d] : 0.0f;
            values[j][d] = slot >= 0 ? v_cache[at + d] : 0.0f;
          }
        }
        __syncthreads();
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          const int row = warp + r * kWarps;
          const int begin = static_cast<int>(max(int64_t(0), seen[r].begin - start));
          const int end = static_cast<int>(min(int64_t(kTile), seen[r].end - start));
          if (row < from * shape.block_heads || row >= to * shape.block_heads || begin >= end) continue;
          float score = 0.0f;
          for (int d = 0; d < D; ++d) score = fmaf(queries[row][d], keys[lane][d], score);
          if (lane < begin || lane >= end) score = -INFINITY;
          Sums<kChannels>& sum = part[r];
          const float higher = fmaxf(sum.top, warp_max(score)), shrink = exp2f(sum.top - higher);
          const float weight = exp2f(score - higher);
          sum.top = higher;
          sum.total = fmaf(sum.total, shrink, warp_sum(weight));
#pragma unroll
          for (int i = 0; i < kChannels; ++i) sum.acc[i] *= shrink;
          for (int j = begin; j < end; ++j) {
            const float p = __shfl_sync(kAllLanes, weight, j);
#pragma unroll
            for (int i = 0; i < kChannels; ++i) sum.acc[i] = fmaf(p, values[j][lane + i * kWarp], sum.acc[i]);
          }
        }
      }
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        if (part[r].total == 0.0f) continue;
        const int row = warp + r * kWarps;
        if (partials == nullptr) {
          sums[r].join(part[r]);
        } else {
          const int64_t at = (token_of(row) * shape.heads + head_of(row)) * num_splits + split;
          part[r].write_partial(partials + at * Sums<kChannels>::kFloats, lane);
        }
      }
    }
    if (partials != nullptr) continue;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int row = warp + r * kWarps;
      if (row < from * shape.block_heads || row >= to * shape.block_heads) continue;
      sums[r].write(y + (token_of(row) * shape.heads + head_of(row)) * D, D, lane);
    }
  }
}

// One warp a token and head.
template <int kChannels>
__global__ void join_rows_kernel(const float* partials, PagedTokens tokens, float* y, int64_t num_splits, Shape shape) {
  const int64_t row = blockIdx.x * int64_t(kWarps) + threadIdx.x / kWarp;
  if (row >= tokens.T * shape.heads) return;
  const int lane = threadIdx.x % kWarp;
  const PagedTokens::Keys seen = tokens.keys(row / shape.heads);
  Sums<kChannels> sums;
  for (int64_t split = seen.begin / kSplit; split * kSplit < seen.end; ++split) {
    Sums<kChannels> part;
    part.read_partial(partials + (row * num_splits + split) * Sums<kChannels>::kFloats, lane);
    sums.join(part);
  }
  sums.write(y + row * shape.D, shape.D, lane);
}

// The most query heads that share a key head and fit into a block's rows, all blocks of a key head taking as many.
int heads_of_block(int shared) {
  for (int heads = std::min(shared, kBlockRows);; --heads) {
    if (shared % heads == 0) return heads;
  }
}

template <int kChannels>
void attend(const PagedAttention& a, CudaStream& cuda, const PagedTokens& tokens) {
  const int H = a.y.dims[1], K = a.k_cache.dims[1];
  Shape shape{H, K, static_cast<int>(a.qkv.dims[2]), H / K, heads_of_block(H / K), 1, a.scale * kLog2E};
  // Tokens in one block share the loads of a chunk, but would wait for each other where each is a sequence of its own.
  const int64_t chunk = ceil_div(tokens.T, tokens.B);
  shape.block_tokens = static_cast<int>(std::min(chunk, int64_t(kBlockRows / shape.block_heads)));
  const int64_t num_splits = ceil_div(tokens.P * tokens.page_size, kSplit);
  dim3 blocks(ceil_div(tokens.T, shape.block_tokens), H / shape.block_heads);
  const int64_t busy = 2 * cuda.limits().multiprocessors;  // blocks that keep the device so
  float* partials = nullptr;
  if (num_splits > 1 && int64_t(blocks.x) * blocks.y < busy) {
    blocks.z = num_splits;
    const int64_t floats = tokens.T * H * num_splits * Sums<kChannels>::kFloats;
    partials = static_cast<float*>(cuda.scratch(floats * sizeof(float)));
  }
  constexpr int kWidth = kChannels * kWarp;
  const int64_t shared_bytes = (kTile * (2 * kWidth + 1) + kBlockRows * kWidth) * sizeof(float);
  launch_kernel(a.kName, paged_rows_kernel<kChannels>, {blocks, kThreads, shared_bytes}, cuda, a.qkv.as<float>(),
                a.k_cache.as<float>(), a.v_cache.as<float>(), tokens, a.y.as<float>(), partials, num_splits, shape);
  if (partials == nullptr) return;
  launch_kernel(a.kName, join_rows_kernel<kChannels>, {dim3(ceil_div(tokens.T * H, kWarps)), kThreads}, cuda, partials,
                tokens, a.y.as<float>(), num_splits, shape);
}

}  // namespace

void paged_attention_rows(const PagedAttention& a, const PagedTokens& tokens, CudaStream& stream) {
  const int64_t D = a.y.dims[2];
  if (D <= kWarp) return attend<1>(a, stream, tokens);
  if (D <= 2 * kWarp) return attend<2>(a, stream, tokens);
  if (D <= 4 * kWarp) return attend<4>(a, stream, tokens);
  attend<8>(a, stream, tokens);
}

}  // namespace ww::cuda
