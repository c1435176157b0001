#pragma once

// Which tiles of a packed batch attention has to look at. Tokens are cut into spans, whole sequences that nothing else
// sees; keys of a span into blocks that know enough to be skipped, taken whole, or masked.

#include "native/cpu/attention_tiles.h"

namespace ww::cpu::WW_ISA {

constexpr int64_t kKeyBlock = 128;

struct Span {
  int64_t begin, end;
  int64_t first_block;  // blocks of the spans before
};

struct KeyBlock {
  int32_t min_until, max_until, min_position, max_position;
};

struct AttentionMask {
  const int32_t *positions, *sequence_start, *visible_until;
  int64_t T, window, num_spans;
  const Span* spans;
  const KeyBlock* blocks;
};

// Sequences shorter than a block share a span, so that one-token documents fill the lanes of a panel.
template <class Body>
WW_INLINE void for_each_span(const int32_t* sequence_start, int64_t T, const Body& body) {
  int64_t begin = 0, end = 0;
  while (end < T) {
    int64_t next = end + 1;
    while (next < T && sequence_start[next] < next) ++next;
    if (end > begin && next - begin > kKeyBlock) {
      body(begin, end);
      begin = end;
    }
    end = next;
  }
  if (end > begin) body(begin, end);
}

// Two neighbouring spans hold more than a block between them.
WW_INLINE int64_t most_spans(int64_t T) { return 2 * (T / kKeyBlock) + 1; }
WW_INLINE int64_t most_blocks(int64_t T) { return T / kKeyBlock + most_spans(T); }

WW_INLINE KeyBlock describe_block(const AttentionMask& mask, int64_t begin, int64_t end) {
  KeyBlock block{mask.visible_until[begin], mask.visible_until[begin], mask.positions[begin], mask.positions[begin]};
  for (int64_t k = begin + 1; k < end; ++k) {
    const int32_t until = mask.visible_until[k], position = mask.positions[k];
    block.min_until = until < block.min_until ? until : block.min_until;
    block.max_until = until > block.max_until ? until : block.max_until;
    block.min_position = position < block.min_position ? position : block.min_position;
    block.max_position = position > block.max_position ? position : block.max_position;
  }
  return block;
}

// Fills `spans` and `blocks`, which have room for most_spans and most_blocks.
template <class Args>
WW_INLINE AttentionMask describe_mask(const Args& a, Span* spans, KeyBlock* blocks) {
  AttentionMask mask{a.positions.template as<int32_t>(),
                     a.sequence_start.template as<int32_t>(),
                     a.visible_until.template as<int32_t>(),
                     a.qkv.dims[0],
                     a.window,
                     0,
                     spans,
                     blocks};
  int64_t num_blocks = 0;
  for_each_span(mask.sequence_start, mask.T, [&](int64_t begin, int64_t end) {
    spans[mask.num_spans++] = {begin, end, num_blocks};
    for (int64_t k = begin; k < end; k += kKeyBlock) {
      blocks[num_blocks++] = describe_block(mask, k, min(k + kKeyBlock, end));
    }
  });
  return mask;
}

// Up to kPanel queries of one span, one to a lane.
struct PanelQueries {
  int64_t first, count;
  int64_t min_position, max_position;
  int32_t starts[kPanel], positions[kPanel];
};

inline PanelQueries panel_queries(const AttentionMask& mask, int64_t first, int64_t end) {
  PanelQueries panel{first, min(kPanel, end - first), mask.positions[first], mask.positions[first], {}, {}};
  for (int64_t i = 0; i < kPanel; ++i) {
    const int64_t q = min(first + i, end - 1);
    panel.starts[i] = mask.sequence_start[q];
    panel.positions[i] = mask.positions[q];
    panel.min_position = min(panel.min_position, panel.positions[i]);
    panel.max_position = max(panel.max_position, panel.positions[i]);
  }
  return panel;
}

// Keys [first, last) of a block that a panel may see; those from `both` on are later than all queries of its first
// vector, those from `masked` on are hidden from some other query.
struct VisibleKeys {
  int64_t first, last, both, masked;

  WW_INLINE bool none() const { return first >= last; }
};

inline VisibleKeys visible_keys(const AttentionMask& mask, const PanelQueries& panel, int64_t begin, int64_t end,
                                const KeyBlock& block) {
  const int64_t first_query = panel.first, last_query = panel.first + panel.count - 1;
  int64_t first = max(begin, panel.starts[0]), last = min(end, last_query + 1);
  if (block.max_until <= first_query) last = first;
  if (block.min_until <= first_query) {
    while (first < last && mask.visible_until[first] <= first_query) ++first;
    while (first < last && mask.visible_until[last - 1] <= first_query) --last;
  }
  if (mask.window > 0) {
    while (first < last && panel.min_position - mask.positions[first] >= mask.window) ++first;
    while (first < last && panel.min_position - mask.positions[last - 1] >= mask.window) --last;
  }
  if (first >= last) return {first, first, first, first};
  const bool only_causal = panel.starts[panel.count - 1] <= first && block.min_until > last_query &&
                           (mask.window == 0 || panel.max_position - block.min_position < mask.window);
  const int64_t both = panel.count > kLanes ? min(last, max(first, first_query + kLanes)) : last;
  return {first, last, both, only_causal ? min(last, max(first, first_query + 1)) : first};
}

// Hides the scores of visible keys from the queries that must not see them after all. scores[k * ld + lane] belongs to
// key visible.first + k.
inline void hide_scores(const AttentionMask& mask, const PanelQueries& panel, const VisibleKeys& visible, float* scores,
                        int64_t ld) {
  IntVec lane{};
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  const Vec hidden = splat(-__builtin_inff());
  const int32_t window = static_cast<int32_t>(min(mask.window, INT32_MAX));
  for (int64_t i = 0; i < panel.count; i += kLanes) {
    const IntVec query = lane + static_cast<int32_t>(panel.first + i);
    IntVec start, position;
    __builtin_memcpy(&start, panel.starts + i, sizeof start);
    __builtin_memcpy(&position, panel.positions + i, sizeof position);
    const int64_t last = i == 0 ? visible.both : visible.last;
    for (int64_t k = visible.masked; k < last; ++k) {
      const int32_t key = static_cast<int32_t>(k);
      float* at = scores + (k - visible.first) * ld + i;
      Vec s = load(at);
      s = query < key ? hidden : s;
      s = start > key ? hidden : s;
      s = query >= mask.visible_until[k] ? hidden : s;
      if (window > 0) s = position - mask.positions[k] >= window ? hidden : s;
      store(at, s);
    }
  }
}

// The same from an even key of the block on, so that pairs of keys begin there.
WW_INLINE VisibleKeys from_even(VisibleKeys visible, int64_t begin) {
  if ((visible.first - begin) % 2 != 0) visible.masked = --visible.first;
  return visible;
}

// to[k * ld + lane] = sum_d keys[k, d] * panel[d, lane], where `keys` begins with visible.first; words along d.
template <class T>
void dot_keys(const VisibleKeys& visible, int64_t queries, const float* keys, int64_t D, const float* panel, float* to,
              int64_t ld) {
  const int64_t both = visible.both - visible.first, rest = visible.last - visible.both, words = D / kPerWord<T>;
  if (queries <= kLanes) {
    return multiply<T, By::rows, Vec, 1>({both, words, keys, words, panel, kPanel, to, ld, false});
  }
  multiply<T, By::rows, Vec, 2>({both, words, keys, words, panel, kPanel, to, ld, false});
  to += both * ld + kLanes;
  multiply<T, By::rows, Vec, 1>({rest, words, keys + both * words, words, panel + kLanes, kPanel, to, ld, false});
}

// panel[d, lane] += sum_k keys[k, d] * weights[k * ld + lane]; words along k.
template <class T>
void sum_keys(const VisibleKeys& visible, int64_t queries, const float* keys, int64_t D, const float* weights,
              int64_t ld, float* panel) {
  const int64_t both = ceil_div(visible.both - visible.first, kPerWord<T>);
  const int64_t rest = ceil_div(visible.last - visible.first, kPerWord<T>) - both;
  if (queries <= kLanes) return multiply<T, By::columns, Vec, 1>({D, both, keys, D, weights, ld, panel, kPanel, true});
  multiply<T, By::columns, Vec, 2>({D, both, keys, D, weights, ld, panel, kPanel, true});
  if (rest == 0) return;
  weights += both * ld + kLanes;
  multiply<T, By::columns, Vec, 1>({D, rest, keys + both * D, D, weights, ld, panel + kLanes, kPanel, true});
}

}  // namespace ww::cpu::WW_ISA
