// Attention over pages in bf16 by tensor cores. A tile of rows, which are the query heads of one key head for tokens of
// one sequence, reads keys and values 64 at a time, the next ones while it multiplies.

#include <algorithm>

#include "native/cuda/attention_tiles.cuh"
#include "native/cuda/paged_attention.cuh"
#include "native/cuda/paged_partials.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = kTileWarps * kWarp;
constexpr int kBlocksPerMultiprocessor = 4;

// Rows of a tile, of which row r begins at row_of(r) and is zero where that is null; zeros beyond D channels. What
// cp.async cannot take is loaded channel by channel.
template <int kRows, int kD, class RowOf>
__device__ __forceinline__ void load_rows(const SharedTile<kD>& tile, const PagedShape& shape, const RowOf& row_of) {
  constexpr int kChunks = kD / kChunk;
  if (shape.by_16) {
#pragma unroll 4
    for (int i = threadIdx.x; i < kRows * kChunks; i += kThreads) {
      const int row = i / kChunks, c = i % kChunks;
      const bf16* const from = row_of(row);
      ptx::cp_async_16(tile.chunk(row, c), from + c * kChunk, from != nullptr && c * kChunk < shape.D);
    }
    return;
  }
  for (int i = threadIdx.x; i < kRows * kChunks; i += kThreads) {
    const int row = i / kChunks, c = i % kChunks;
    const bf16* const from = row_of(row);
    const int channels = from == nullptr ? 0 : shape.D - c * kChunk;
    Pack<bf16, kChunk> chunk;
    for (int d = 0; d < kChunk; ++d) chunk[d] = d < channels ? from[c * kChunk + d] : bf16(0.0f);
    store(tile.chunk(row, c), chunk);
  }
}

// The dynamic shared memory of a block: queries, and stages of keys and values. The 16 bytes behind each key of the
// first stage say where the row lies of this tile and of the next. The sums take the first stage when the keys are
// through.
template <int kD, int kRows, int kStages>
struct Shared {
  static constexpr int64_t kBytes = (kRows + 2 * kStages * kTile) * SharedTile<kD>::kRow * int64_t(sizeof(bf16));
  static constexpr int kSumRow = kD + 8;  // floats: 64 rows are as long as those of keys and values
  static_assert(kBytes <= 99 * 1024 || (kD > 128 && kStages == 2),
                "every GPU has room, but for two stages of long rows");

  bf16* data;

  __device__ __forceinline__ SharedTile<kD> queries() const { return {data}; }
  __device__ __forceinline__ SharedTile<kD> keys(int stage) const {
    return {data + (kRows + 2 * stage * kTile) * SharedTile<kD>::kRow};
  }
  __device__ __forceinline__ SharedTile<kD> values(int stage) const {
    return {keys(stage).data + SharedTile<kD>::kElements};
  }
  __device__ __forceinline__ int64_t& place(int turn, int row) const {
    return reinterpret_cast<int64_t*>(keys(0).chunk(row, kD / kChunk))[turn % 2];
  }
  __device__ __forceinline__ float* sums(int row) const {
    return reinterpret_cast<float*>(keys(0).data) + row * kSumRow;
  }
  __device__ __forceinline__ Weight& weight(int row) const { return *reinterpret_cast<Weight*>(sums(row) + kD); }
};

struct Tensors {
  const bf16 *qkv, *keys, *values;
  bf16* y;
};

// Blocks take the plan's items in turn, for each part of the call. A warp has 16 rows and all keys of a tile, or its
// share of the keys where 16 rows are all. Without a word on blocks the assembler would spill to have four of them.
template <int kD, int kRows, int kStages>
__global__ void __launch_bounds__(kThreads, kD > 128 ? 1 : 2)
    paged_tiles_kernel(Tensors tensors, PagedTokens tokens, PagedPlan plan, PagedPartials partials, PagedShape shape) {
  constexpr int kRowWarps = kRows / 16, kKeyWarps = kTileWarps / kRowWarps, kKeys = kTile / kKeyWarps;
  WW_DYNAMIC_SHARED(bf16, memory);
  const Shared<kD, kRows, kStages> shared{memory};
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, g = lane / 4, t2 = lane % 4 * 2;
  const int row_warp = warp / kKeyWarps, key_warp = warp % kKeyWarps;

  const int64_t count = int64_t(plan.counts[0]) * shape.parts;
  for (int64_t i = blockIdx.x; i < count; i += gridDim.x) {
    const PagedItem item = plan.items[i / shape.parts];
    const int part = static_cast<int>(i % shape.parts);
    const Heads heads = shape.heads_of(part);
    const int64_t first_token = item.tile.token, sequence = tokens.sequences[first_token];
    const int rows = item.tile.count * heads.count;

    // Where the keys of the tile at `start` lie: first their pages, which take a while to come, then their places.
    const auto page_of = [&](int64_t start) {
      const int64_t key = start + threadIdx.x;
      const bool is_seen = threadIdx.x < kTile && key >= item.begin && key < item.end;
      return is_seen ? tokens.page(sequence, key) : -1;
    };
    const auto put_place = [&](int64_t start, int32_t page, int turn) {
      if (threadIdx.x >= kTile) return;
      const int64_t slot = page * tokens.page_size + (start + threadIdx.x) % tokens.page_size;
      shared.place(turn, threadIdx.x) = page < 0 ? -1 : (slot * shape.key_heads + heads.group) * shape.D;
    };
    const auto load_tile = [&](int turn, int stage) {
      const auto row_of = [&](const bf16* from) {
        return [=](int row) {
          const int64_t place = shared.place(turn, row);
          return place < 0 ? nullptr : from + place;
        };
      };
      load_rows<kTile>(shared.keys(stage), shape, row_of(tensors.keys));
      load_rows<kTile>(shared.values(stage), shape, row_of(tensors.values));
      ptx::cp_async_commit();
    };

    int64_t start = item.begin / kTile * kTile;
    put_place(start, page_of(start), 0);
    put_place(start + kTile, page_of(start + kTile), 1);
    __syncthreads();
    load_rows<kRows>(shared.queries(), shape, [&](int row) -> const bf16* {
      if (row >= rows) return nullptr;
      const int64_t token = first_token + row / heads.count, head = heads.first + row % heads.count;
      return tensors.qkv + (token * (shape.heads + 2 * shape.key_heads) + head) * shape.D;
    });
    load_tile(0, 0);

    int first_seen[2], last_seen[2];  // keys, by rows g and g + 8; rows that are none count as the last
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const PagedTokens::Keys seen = tokens.keys(first_token + min(row_warp * 16 + g + r * 8, rows - 1) / heads.count);
      first_seen[r] = static_cast<int>(seen.begin);
      last_seen[r] = static_cast<int>(seen.end - 1);
    }
    const int first_of_all = static_cast<int>(tokens.keys(first_token + item.tile.count - 1).begin);  // that all see
    const int last_of_all = static_cast<int>(tokens.keys(first_token).end - 1);

    float acc[kD / 8][4] = {}, peak[2] = {-INFINITY, -INFINITY}, sum[2] = {};
    for (int turn = 0; start < item.end; start += kTile, ++turn) {
      const int stage = turn % kStages;
      const bool goes_on = start + kTile < item.end;
      if (kStages == 2 && goes_on) {
        load_tile(turn + 1, stage ^ 1);
        ptx::cp_async_wait_group<1>();
      } else {
        ptx::cp_async_wait_group<0>();
      }
      __syncthreads();
      const int32_t page = page_of(start + 2 * kTile);

      float s[kKeys / 8][4] = {};
      multiply_transposed(s, shared.queries(), row_warp, shared.keys(stage), key_warp * (kKeys / 16));
      const bool masked = start < first_of_all || start + kTile - 1 > last_of_all;
      const int first_key = static_cast<int>(start) + key_warp * kKeys;
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int begin = first_seen[r] - first_key, last = last_seen[r] - first_key;
#pragma unroll
        for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            float& x = s[n][r * 2 + e];
            const int key = n * 8 + t2 + e;
            x = masked && (key < begin || key > last) ? -INFINITY : x * shape.scale_log2;
          }
        }
      }
      softmax_step(s, acc, peak, sum);
      multiply<kD>(acc, s, shared.values(stage), key_warp * (kKeys / 16), 0);
      put_place(start + 2 * kTile, page, turn);
      __syncthreads();  // the next turn loads over this stage
      if (kStages == 1 && goes_on) load_tile(turn + 1, 0);
    }

    // The warps' sums, row by row.
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = warp * 16 + g + r * 8;
      const float total = row_sum(sum[r]);
      if (t2 == 0) shared.weight(row) = {peak[r], total};
#pragma unroll
      for (int n = 0; n < kD / 8; ++n) {
        store(shared.sums(row) + n * 8 + t2, Pack<float, 2>{acc[n][r * 2], acc[n][r * 2 + 1]});
      }
    }
    __syncthreads();
    constexpr int kChunks = kD / kChunk;
    for (int at = threadIdx.x; at < rows * kChunks; at += kThreads) {
      const int row = at / kChunks, c = at % kChunks;
      if (c * kChunk >= shape.D) continue;
      const Softmax all = join(
          kKeyWarps, [&](int w) { return shared.weight(w * 16 + row); },
          [&](int w) { return shared.sums(w * 16 + row) + c * kChunk; });
      if (item.partial < 0) {
        write_chunk(tensors.y, item.tile, heads, row, c, all, shape);
      } else {
        store(partials.values(item.partial, part, row) + c * kChunk, all.values);
        if (c == 0) partials.weight(item.partial, part, row) = all.weight;
      }
    }
    __syncthreads();  // the next item loads over the sums
  }
}

template <int kD>
void attend(const PagedAttention& a, const PagedTokens& tokens, const PagedShape& shape, CudaStream& stream) {
  constexpr int kFew = 16, kMany = kTile;  // rows
  const int part_heads = std::min(shape.heads / shape.key_heads, kPartHeads);
  const int64_t busy = int64_t(kBlocksPerMultiprocessor) * stream.limits().multiprocessors;
  const int wanted = static_cast<int>(ceil_div(busy, shape.parts));
  const int few_tokens = kFew / part_heads;
  // The next tokens of as many sequences make no tile of many, unless one token does.
  const bool has_many = tokens.T > tokens.B || few_tokens == 0;
  const PagedPlanOptions options{has_many ? kMany / part_heads : few_tokens, few_tokens, wanted};
  const PagedPlans plans = paged_plans(a.kName, tokens, options, stream);
  PagedPartials few{nullptr, shape.parts, kFew, kD}, many{nullptr, shape.parts, kMany, kD};
  if (may_split(tokens)) {
    const int64_t few_floats = few.floats(most_partials(wanted)), many_floats = many.floats(most_partials(wanted));
    few.data = static_cast<float*>(stream.scratch((few_floats + (has_many ? many_floats : 0)) * sizeof(float)));
    many.data = few.data + few_floats;
  }

  const Tensors tensors{a.qkv.as<bf16>(), a.k_cache.as<bf16>(), a.v_cache.as<bf16>(), a.y.as<bf16>()};
  const auto blocks = [&](int64_t items) { return std::min(items * shape.parts, 2 * busy); };
  const auto launch_stages = [&]<int kRows, int kStages>(const PagedPlan& plan, const PagedPartials& partials) {
    const Grid grid{dim3(blocks(most_items(tokens.T, wanted))), kThreads, Shared<kD, kRows, kStages>::kBytes};
    launch_kernel(a.kName, paged_tiles_kernel<kD, kRows, kStages>, grid, stream, tensors, tokens, plan, partials,
                  shape);
  };
  const auto launch = [&]<int kRows>(const PagedPlan& plan, const PagedPartials& partials) {
    const bool has_room = Shared<kD, kRows, 2>::kBytes <= stream.limits().shared_bytes_per_block;
    if (kD <= 128 || has_room) {
      launch_stages.template operator()<kRows, 2>(plan, partials);
    } else if constexpr (kD > 128) {
      launch_stages.template operator()<kRows, 1>(plan, partials);
    }
    if (!may_split(tokens)) return;
    join_partials(a.kName, plan, partials, shape, tensors.y, blocks(most_joins(wanted)), stream);
  };
  if (std::min<int64_t>(tokens.T, options.tile_tokens) > few_tokens)
    launch.template operator()<kMany>(plans.many, many);
  if (few_tokens > 0) launch.template operator()<kFew>(plans.few, few);
}

}  // namespace

void paged_attention_tiles(const PagedAttention& a, const PagedTokens& tokens, CudaStream& stream) {
  const int64_t H = a.y.dims[1], K = a.k_cache.dims[1], D = a.y.dims[2];
  const auto aligned = [](const Tensor& tensor) { return reinterpret_cast<uintptr_t>(tensor.data) % 16 == 0; };
  const bool by_16 = D % kChunk == 0 && aligned(a.qkv) && aligned(a.k_cache) && aligned(a.v_cache) && aligned(a.y);
  const int parts = static_cast<int>(K * ceil_div(H / K, kPartHeads));
  const PagedShape shape{static_cast<int>(H), static_cast<int>(K), static_cast<int>(D), parts, a.scale * kLog2E, by_16};
  dispatch_head_size(D, [&]<int kD>() { attend<kD>(a, tokens, shape, stream); });
}

}  // namespace ww::cuda
