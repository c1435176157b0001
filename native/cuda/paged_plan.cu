#include "native/cuda/paged_plan.cuh"

#include "native/cuda/attention_tiles.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;

// `value` summed over the threads before this one, and over all.
struct Sums {
  int64_t before, all;
};
__device__ Sums sums_of(int64_t value) {
  __shared__ int64_t of_warps[kWarps];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  int64_t up_to = value;
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const int64_t other = __shfl_up_sync(kAllLanes, up_to, offset);
    if (lane >= offset) up_to += other;
  }
  if (lane == kWarp - 1) of_warps[warp] = up_to;
  __syncthreads();
  Sums sums{up_to - value, 0};
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp) sums.before += of_warps[w];
    sums.all += of_warps[w];
  }
  __syncthreads();
  return sums;
}

struct Tile {
  int count;  // 0: none begins here
  int64_t begin, end;

  __device__ int64_t keys() const { return end - begin / kTile * kTile; }
};

// The tile that begins with token t: tiles end at multiples of tile_tokens, too. What is no place of a sequence has
// none.
__device__ Tile tile_at(const PagedTokens& tokens, int64_t t, int tile_tokens) {
  const auto goes_on = [&](int64_t next) {
    return next < tokens.T && next % tile_tokens != 0 && tokens.sequences[next] == tokens.sequences[next - 1] &&
           tokens.positions[next] == int64_t(tokens.positions[next - 1]) + 1;
  };
  if (goes_on(t)) return {0, 0, 0};
  int64_t next = t + 1;
  while (goes_on(next)) ++next;
  const PagedTokens::Keys first = tokens.keys(t), last = tokens.keys(next - 1);
  if (first.begin >= first.end || last.begin >= last.end) return {0, 0, 0};
  return {static_cast<int>(next - t), first.begin, last.end};
}

// Fills one of the plans. Each thread has as many tokens, which follow each other.
__device__ void fill(const PagedTokens& tokens, const PagedPlanOptions& options, bool is_few, const PagedPlan& plan) {
  const int64_t share = ceil_div(tokens.T, kThreads);
  const int64_t first = threadIdx.x * share, end = min(tokens.T, first + share);
  const auto for_each_tile = [&](const auto& body) {
    for (int64_t t = first; t < end; ++t) {
      const Tile tile = tile_at(tokens, t, options.tile_tokens);
      if (tile.count > 0 && (tile.count <= options.few_tokens) == is_few) body(static_cast<int>(t), tile);
    }
  };
  int64_t keys = 0;
  for_each_tile([&](int, const Tile& tile) { keys += tile.keys(); });
  keys = sums_of(keys).all;
  const int64_t split = max(int64_t(kLeastSplit), round_up(ceil_div(keys, options.wanted), kTile));

  int64_t items = 0, partials = 0, joins = 0;
  for_each_tile([&](int, const Tile& tile) {
    const int64_t splits = ceil_div(tile.keys(), split);
    items += splits;
    if (splits > 1) partials += splits, ++joins;
  });
  const Sums item_sums = sums_of(items), partial_sums = sums_of(partials), join_sums = sums_of(joins);
  PagedItem* item = plan.items + item_sums.all - item_sums.before;  // backwards: the last tokens see most
  PagedJoin* join = plan.joins + join_sums.before;
  int partial = static_cast<int>(partial_sums.before);
  for_each_tile([&](int t, const Tile& tile) {
    const int splits = static_cast<int>(ceil_div(tile.keys(), split));
    if (splits > 1) *join++ = {{t, tile.count}, partial, splits};
    for (int i = 0; i < splits; ++i) {
      const int64_t begin = tile.begin / kTile * kTile + i * split;
      *--item = {{t, tile.count}, max(tile.begin, begin), min(tile.end, begin + split), splits > 1 ? partial++ : -1};
    }
  });
  if (threadIdx.x == 0) {
    plan.counts[0] = static_cast<int>(item_sums.all);
    plan.counts[1] = static_cast<int>(join_sums.all);
  }
}

__global__ void __launch_bounds__(kThreads)
    plan_kernel(PagedTokens tokens, PagedPlanOptions options, PagedPlan few, PagedPlan many) {
  fill(tokens, options, true, few);
  fill(tokens, options, false, many);
}

}  // namespace

PagedPlans paged_plans(const char* kernel, const PagedTokens& tokens, const PagedPlanOptions& options,
                       CudaStream& stream) {
  const auto& [pages, sequences, positions, T, B, P, num_pages, page_size, window] = tokens;
  const auto& [tile_tokens, few_tokens, wanted] = options;
  const IndexKey key{{sequences, positions}, {T, B, P, page_size, window, tile_tokens, few_tokens, wanted}};
  const int64_t item_bytes = round_up(most_items(T, wanted) * int64_t(sizeof(PagedItem)), 256);
  const int64_t join_bytes = round_up(most_joins(wanted) * int64_t(sizeof(PagedJoin)), 256);
  const int64_t bytes = item_bytes + join_bytes + 256;
  const auto [memory, is_new] = stream.derived(key, 2 * bytes);
  const auto plan_at = [&](char* at) {
    return PagedPlan{reinterpret_cast<PagedItem*>(at), reinterpret_cast<PagedJoin*>(at + item_bytes),
                     reinterpret_cast<int*>(at + item_bytes + join_bytes)};
  };
  const PagedPlans plans{plan_at(static_cast<char*>(memory)), plan_at(static_cast<char*>(memory) + bytes)};
  if (is_new) launch_kernel(kernel, plan_kernel, {1, kThreads}, stream, tokens, options, plans.few, plans.many);
  return plans;
}

}  // namespace ww::cuda
