#pragma once

#include "native/cuda/paged_tokens.cuh"

namespace ww::cuda {

// Tokens that read their keys together: of one sequence, at positions that follow each other.
struct PagedTile {
  int token, count;
};

// What a block does for one of the call's parts: a tile over keys [begin, end). Where other blocks have other keys of
// the tile, its sums are kept in place `partial`, otherwise -1.
struct PagedItem {
  PagedTile tile;
  int64_t begin, end;
  int partial;
};

// The `count` partials of a tile, in the order of their keys, which make its result.
struct PagedJoin {
  PagedTile tile;
  int partial, count;
};

struct PagedPlan {
  PagedItem* items;
  PagedJoin* joins;
  int* counts;  // of items, of joins
};

struct PagedPlanOptions {
  int tile_tokens;  // most tokens of a tile
  int few_tokens;   // tiles of at most so many go into a plan of their own
  int wanted;       // items of each plan that keep the device busy
};

// For T tokens a plan takes at most T + 2 wanted items, `wanted` joins and 2 wanted partials.
constexpr int64_t most_items(int64_t T, int64_t wanted) { return T + 2 * wanted; }
constexpr int64_t most_joins(int64_t wanted) { return wanted; }
constexpr int64_t most_partials(int64_t wanted) { return 2 * wanted; }
// Keys of an item whose tile has others: two tiles, which is what a block loads before it waits.
constexpr int kLeastSplit = 128;
inline bool may_split(const PagedTokens& tokens) { return tokens.P * tokens.page_size > kLeastSplit; }

struct PagedPlans {
  PagedPlan few, many;
};

// Enqueues what fills the plans, unless a layer before has. Where there are fewer tiles than `wanted`, or long ones
// among short ones, keys of a tile are split; what is longest comes first.
PagedPlans paged_plans(const char* kernel, const PagedTokens& tokens, const PagedPlanOptions& options,
                       CudaStream& stream);

}  // namespace ww::cuda
