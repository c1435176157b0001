#pragma once

// What the forward and backward kernels for Hopper share: the mask in the form that tiles need, the order of work, the
// pipeline's counters, and how accumulators leave.

#include <cstdlib>
#include <cstring>

#include "native/cuda/flash_attention.h"
#include "native/cuda/hopper.cuh"

namespace ww::cuda::hopper {

constexpr int kWarpgroup = 128;
constexpr int kBlock = 64;  // tokens that Bounds describe, and rows of a wgmma
constexpr int kTile = 128;  // token arrays are padded to whole tiles
constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;

struct alignas(8) Bounds {
  int min, max;
};

// sequence_start never decreases, so it hides a key from all queries from some token on, as visible_until does: key k
// is visible to query q where uint32(q - k) < reach[k], up to the window. Padding has reach 0. Made by plan().
struct Mask {
  const uint32_t* reach;   // [T, padded]
  const Bounds* until;     // [T / kBlock, padded], of the first query that a key is hidden from; 0 for padding
  const Bounds* position;  // [T / kBlock, padded], without padding
  const int* begin;        // [T / kBlock, padded], the tile of the first key that the block's first query may see
  const int32_t* positions;
  int window;  // 0: none
  int tokens;
};

// What plan() makes, apart from the mask: tiles of queries and of keys, those with the most work first, and the
// counters that the kernels draw their next work from, zero.
struct Plan {
  Mask mask;
  const int *query_order, *key_order;
  int* counters;  // [2]
};

// Launches the kernel that makes a plan in `memory`, plan_bytes(T) bytes. A key_tile of 0 leaves key_order out.
int64_t plan_bytes(int64_t tokens);
Plan plan(const char* name, const Tensor& positions, const Tensor& sequence_start, const Tensor& visible_until,
          int64_t window, int query_tile, int key_tile, void* memory, CudaStream& stream);

// Whether these kernels serve; `tensors` are those that 16-byte accesses go to.
inline bool serves(const CudaStream& stream, const Tensor& qkv, float scale, std::initializer_list<Tensor> tensors) {
  const char* forced = std::getenv("WESTWIND_ATTENTION");
  if (forced != nullptr && std::strcmp(forced, "mma") == 0) return false;
  for (const Tensor& tensor : tensors) {
    if (reinterpret_cast<uintptr_t>(tensor.data) % 16 != 0) return false;
  }
  return stream.limits().compute_capability == 90 && qkv.dtype == DType::bf16 && qkv.dims[0] > 0 &&
         qkv.dims[0] < (1 << 30) && (qkv.dims[2] == 64 || qkv.dims[2] == 128) && scale > 0;
}

// A place in a ring of slots, and the parity of the pass over it.
template <int kSlots>
struct Place {
  int slot = 0;
  unsigned parity = 0;
  __device__ __forceinline__ void advance() {
    if (++slot == kSlots) slot = 0, parity ^= 1;
  }
};

// A tile of keys for the queries at hand, or of queries for the keys at hand, from the producer to the consumers: one
// word. Consumers keep 64 queries or keys each.
struct Step {
  int word;
  static constexpr int kLast = 1;     // no further tile follows
  static constexpr int kWindow = 2;   // the window hides something
  static constexpr int kMasked = 4;   // << consumer: reach hides something
  static constexpr int kHidden = 32;  // << consumer: everything is hidden
  static constexpr int kTileShift = 8;
  __device__ __forceinline__ bool is_last() const { return word & kLast; }
  __device__ __forceinline__ bool has_window() const { return word & kWindow; }
  __device__ __forceinline__ bool is_masked(int consumer) const { return word >> consumer & kMasked; }
  __device__ __forceinline__ bool is_hidden(int consumer) const { return word >> consumer & kHidden; }
  __device__ __forceinline__ int tile() const { return word >> kTileShift; }
};

// The bounds of a tile of kSize tokens. Loops of the producers stay rolled: they have few registers.
template <int kSize>
__device__ __forceinline__ Bounds bounds(const Bounds* blocks, int tile) {
  constexpr int kBlocks = kSize / kBlock;
  Bounds all = blocks[tile * kBlocks];
#pragma unroll 1
  for (int i = 1; i < kBlocks; ++i) {
    const Bounds b = blocks[tile * kBlocks + i];
    all = {min(all.min, b.min), max(all.max, b.max)};
  }
  return all;
}

// The step of the next tile of kTile keys below `key_tile` that one of kQueries queries from `first` on may see; -1
// after the last.
template <int kQueries>
__device__ __forceinline__ int next_keys(const Mask& mask, int first, int key_tile) {
  const int begin = mask.begin[first / kBlock];
  while (--key_tile >= begin) {
    const Bounds until = bounds<kTile>(mask.until, key_tile);
    if (until.max <= first) continue;
    int word = key_tile << Step::kTileShift;
    if (mask.window > 0) {
      const Bounds queries = bounds<kQueries>(mask.position, first / kQueries);
      const Bounds keys = bounds<kTile>(mask.position, key_tile);
      if (queries.min - keys.max >= mask.window) continue;
      if (queries.max - keys.min >= mask.window) word |= Step::kWindow;
    }
#pragma unroll 1
    for (int c = 0; c < kQueries / kBlock; ++c) {
      const int q = first + c * kBlock;
      if ((key_tile + 1) * kTile - 1 > q || until.min < q + kBlock) word |= Step::kMasked << c;
    }
    return word;
  }
  return -1;
}
// Where next_keys begins.
template <int kQueries>
__device__ __forceinline__ int end_of_keys(const Mask& mask, int first) {
  return (min(first + kQueries, mask.tokens) - 1) / kTile + 1;
}

// Sets the scores of what a tile of keys hides to minus infinity. Scores lie as ptx::wgmma leaves them, queries by
// rows: this lane's are `query` and query + 8; `reach` is that of the tile's keys.
__device__ __forceinline__ void hide(float (&s)[kTile / 2], const Mask& mask, Step step, int consumer, int query,
                                     const uint32_t* reach) {
  const int column = threadIdx.x % 4 * 2, key = step.tile() * kTile + column;
  if (step.is_masked(consumer)) {
#pragma unroll
    for (int j = 0; j < kTile / 8; ++j) {
      const Pack<uint32_t, 2> r = load<2>(reach + column + 8 * j);
      const uint32_t distance = query - key - 8 * j;
      if (distance >= r[0]) s[4 * j] = -INFINITY;
      if (distance - 1 >= r[1]) s[4 * j + 1] = -INFINITY;
      if (distance + 8 >= r[0]) s[4 * j + 2] = -INFINITY;
      if (distance + 7 >= r[1]) s[4 * j + 3] = -INFINITY;
    }
  }
  if (step.has_window()) {
    const int last = mask.tokens - 1;
    const int of_queries[2] = {mask.positions[min(query, last)], mask.positions[min(query + 8, last)]};
#pragma unroll
    for (int i = 0; i < kTile / 2; ++i) {
      // Volatile: one load after another, where all at once would take more registers than there are.
      const int of_key = static_cast<const volatile int32_t*>(mask.positions)[min(key + i / 4 * 8 + i % 2, last)];
      if (of_queries[i / 2 % 2] - of_key >= mask.window) s[i] = -INFINITY;
    }
  }
}

// s = a b^T over kHead channels: a's 64 rows from `a_row` on of tiles of kARows, all kBRows of b.
template <int kHead, int kARows, int kBRows>
__device__ __forceinline__ void multiply(float (&s)[kBRows / 2], const unsigned char* a, int a_row,
                                         const unsigned char* b) {
  const uint64_t a_tile = ptx::wgmma_descriptor(a + a_row * 128), b_tile = ptx::wgmma_descriptor(b);
#pragma unroll
  for (int i = 0; i < kHead / 16; ++i) {  // 128 bytes a row and tile, 32 bytes a step; descriptors count by 16
    const int tile = i / 4, step = i % 4 * 2;
    ptx::wgmma<false>(s, a_tile + (tile * kARows * 8 + step), b_tile + (tile * kBRows * 8 + step), i > 0);
  }
}

// y += p b with p [64, kRows] in registers and b [kRows, channels] in tiles of kRows.
template <int kRows, int kSize>
__device__ __forceinline__ void multiply_add(float (&y)[kSize], const uint32_t (&p)[kRows / 4],
                                             const unsigned char* b) {
  const uint64_t tile = ptx::wgmma_descriptor(b, kRows * 128);
#pragma unroll
  for (int i = 0; i < kRows / 16; ++i) ptx::wgmma<true>(y, p + 4 * i, tile + i * (16 * 128 / 16), true);
}

__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  uint32_t word;
  memcpy(&word, &pair, sizeof(word));
  return word;
}

template <int kSize>
__device__ __forceinline__ void pack_bf16(uint32_t (&p)[kSize / 2], const float (&s)[kSize]) {
#pragma unroll
  for (int i = 0; i < kSize / 2; ++i) p[i] = pack_bf16(s[2 * i], s[2 * i + 1]);
}

// Lets the producer fill again what this warp has read.
__device__ __forceinline__ void release(uint64_t* empty) {
  __syncwarp();
  if (threadIdx.x % kWarp == 0) ptx::mbarrier_arrive(empty);
}

// Stores accumulators (layout of ptx::wgmma) times `factor` as bf16: this lane's rows are 0 and 8 rows on from `row`.
// The four lanes of a row trade words so that each stores 16 bytes at a time.
template <int kSize>
__device__ __forceinline__ void store_rows(const float (&d)[kSize], const float (&factor)[2], bf16* row, int64_t pitch,
                                           const bool (&valid)[2]) {
  const int t = threadIdx.x % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int j = 0; j < kSize / 4; j += 4) {
      uint32_t w[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* pair = d + 4 * (j + i) + 2 * half;
        w[i] = pack_bf16(pair[0] * factor[half], pair[1] * factor[half]);
      }
#pragma unroll
      for (int bit = 1; bit <= 2; bit *= 2) {  // transposes the words of 2 x 2, then of 4 x 4
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (i & bit) continue;
          const uint32_t got = __shfl_xor_sync(kAllLanes, t & bit ? w[i] : w[i + bit], bit);
          if (t & bit) {
            w[i] = got;
          } else {
            w[i + bit] = got;
          }
        }
      }
      if (valid[half])
        store<uint32_t, 4>(reinterpret_cast<uint32_t*>(row + half * 8 * pitch + 8 * (j + t)), {w[0], w[1], w[2], w[3]});
    }
  }
}

}  // namespace ww::cuda::hopper
