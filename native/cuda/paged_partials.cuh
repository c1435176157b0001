#pragma once

// What the blocks of paged attention leave, and how it is joined.

#include "native/cuda/paged_plan.cuh"

namespace ww::cuda {

constexpr int kPartHeads = 64;  // most query heads of a part
constexpr int kChunk = 8;       // channels: 16 bytes of bf16

struct Heads {
  int first, count, group;  // query heads, their key head
};

// A call in parts: each has the query heads of a key head, or kPartHeads of them where more share it.
struct PagedShape {
  int heads, key_heads, D, parts;
  float scale_log2;
  bool by_16;  // rows begin at multiples of 16 bytes

  __device__ __forceinline__ Heads heads_of(int part) const {
    const int shared = heads / key_heads, blocks = parts / key_heads, group = part / blocks;
    const int first = part % blocks * kPartHeads;
    return {group * shared + first, min(kPartHeads, shared - first), group};
  }
};

// A softmax over some keys: sum_j 2^(score_j - top), and of a chunk of channels sum_j 2^(score_j - top) v_j.
struct Weight {
  float top, total;
};
struct Softmax {
  Weight weight;
  Pack<float, kChunk> values;
};

// The softmax over all keys that `count` parts of it have some of, joined in order.
template <class WeightOf, class ValuesOf>
__device__ __forceinline__ Softmax join(int count, const WeightOf& weight_of, const ValuesOf& values_of) {
  Softmax all{{-INFINITY, 0.0f}, {}};
  for (int i = 0; i < count; ++i) all.weight.top = fmaxf(all.weight.top, weight_of(i).top);
  const float base = all.weight.top == -INFINITY ? 0.0f : all.weight.top;  // the row may see none of these keys
  for (int i = 0; i < count; ++i) {
    const Weight weight = weight_of(i);
    const float shrink = exp2f(weight.top - base);
    all.weight.total = fmaf(weight.total, shrink, all.weight.total);
    const float* const values = values_of(i);
    for (int half = 0; half < kChunk; half += 4) {
      const Pack<float, 4> four = load<4>(values + half);
      for (int d = 0; d < 4; ++d) all.values[half + d] = fmaf(four[d], shrink, all.values[half + d]);
    }
  }
  return all;
}

// Writes channels 8 c.. of the result of a row, those that there are.
__device__ __forceinline__ void write_chunk(bf16* y, const PagedTile& tile, const Heads& heads, int row, int c,
                                            const Softmax& softmax, const PagedShape& shape) {
  const int64_t token = tile.token + row / heads.count, head = heads.first + row % heads.count;
  bf16* const to = y + (token * shape.heads + head) * shape.D + c * kChunk;
  const float factor = 1.0f / softmax.weight.total;
  Pack<bf16, kChunk> chunk;
  for (int d = 0; d < kChunk; ++d) chunk[d] = bf16(softmax.values[d] * factor);
  if (shape.by_16) return store(to, chunk);
  for (int d = 0; d < kChunk && c * kChunk + d < shape.D; ++d) to[d] = chunk[d];
}

// Partial results in global memory: for each place of a plan and part of the call the rows' values, then their weights.
struct PagedPartials {
  float* data;
  int parts, rows, channels;  // channels: a multiple of a chunk

  int64_t floats(int64_t places) const { return places * parts * rows * (channels + 2); }

  __device__ __forceinline__ float* values(int place, int part, int row) const {
    return data + (int64_t(place) * parts + part) * rows * (channels + 2) + row * channels;
  }
  __device__ __forceinline__ Weight& weight(int place, int part, int row) const {
    return reinterpret_cast<Weight*>(values(place, part, rows))[row];
  }
};

// Enqueues what makes results of the plan's joins, on at most `blocks` blocks.
void join_partials(const char* kernel, const PagedPlan& plan, const PagedPartials& partials, const PagedShape& shape,
                   bf16* y, int64_t blocks, CudaStream& stream);

}  // namespace ww::cuda
