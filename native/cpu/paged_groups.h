#pragma once

#include "native/cpu/softmax_sums.h"
#include "native/kernels/paged_attention.h"

namespace ww::cpu::WW_ISA {

// Tokens at neighbouring positions of one sequence. Row r of it and of a key head is token r / G, head r % G of the G
// query heads that share the key head.
struct Group {
  int64_t token, count, sequence, position;  // of the first
  int64_t first_block, blocks;               // that hold its keys
  float* partials;                           // [K, blocks, Sums], or none: a task then goes through all blocks
};

struct Task {
  const Group* group;
  int64_t block;  // the only one, where there are partials
};

// The first key that a query at `position` sees; the last is its own.
WW_INLINE int64_t first_key(const PagedAttention& a, int64_t position) {
  return a.window > 0 ? max(0, position + 1 - a.window) : 0;
}

// Calls body(group) for the groups of at most `most` tokens that the tokens form, in order.
template <class Body>
void for_each_group(const PagedAttention& a, int64_t most, const Body& body) {
  const int64_t T = a.qkv.dims[0];
  const int32_t *sequences = a.sequences.as<int32_t>(), *positions = a.positions.as<int32_t>();
  for (int64_t t = 0; t < T;) {
    int64_t end = t + 1;
    while (end < T && end - t < most && sequences[end] == sequences[t] && positions[end] == positions[end - 1] + 1) {
      ++end;
    }
    const int64_t first_block = first_key(a, positions[t]) / kBlock;
    const int64_t blocks = positions[end - 1] / kBlock + 1 - first_block;
    body(Group{t, end - t, sequences[t], positions[t], first_block, blocks, nullptr});
    t = end;
  }
}

// Throws for the first page that the group reads and that is none.
WW_INLINE void check_pages(const PagedAttention& a, const Group& group) {
  const int64_t pages = group.sequence * a.pages.dims[1];
  const int64_t first = first_key(a, group.position) / a.page_size;
  const int64_t last = (group.position + group.count - 1) / a.page_size;
  check_indices("pages", a.pages, pages + first, pages + last + 1, a.k_cache.dims[0] / a.page_size);
}

}  // namespace ww::cpu::WW_ISA
