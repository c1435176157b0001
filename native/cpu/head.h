#pragma once

// What both passes of the language-model head share. Logits come in panels of kHeadColumns tokens of the vocabulary,
// which a task multiplies, uses and forgets: they stay in its cache.

#include "native/cpu/gemm.h"

namespace ww::cpu::WW_ISA {

template <class T>
constexpr int64_t kHeadRows = kPanelLanes<T, Side::rows>;
constexpr int64_t kHeadColumns = kTileColumns;

// The rows that pairs name, in chunks whose panels fit the caches.
template <class T>
struct HeadRows {
  static constexpr int64_t kBytes = int64_t(8) << 20, kFewest = 512;

  const T* hidden;
  const int32_t* rows;
  int64_t C, N, chunks, chunk_rows;

  HeadRows(const Tensor& hidden, const Tensor& rows)
      : hidden(hidden.as<const T>()),
        rows(rows.as<const int32_t>()),
        C(hidden.dims[1]),
        N(rows.dims[0]),
        chunks(ceil_div(N, max(kFewest, kBytes / (C * int64_t(sizeof(float)) / kPerWord<T>)))),
        chunk_rows(ceil_div(N, chunks)) {}

  // One below the other, to x[n, C].
  void gather(const Share& chunk, T* x, Workers& workers) const {
    for_each_row(workers, chunk.last - chunk.first, 64, [&](int64_t r, int) {
      __builtin_memcpy(static_cast<void*>(x + r * C), hidden + rows[chunk.first + r] * C, C * sizeof(T));
    });
  }
};

// The words of a panel as deep as the hidden states are wide.
template <class T>
WW_INLINE int64_t words_of(int64_t depth) {
  return round_up(depth, kDepthUnit<T>) / kPerWord<T>;
}

// Panels of all lanes, packed by all threads.
template <class T, Side kSide>
void pack_all(const Operand<T>& from, int64_t depth, float* to, Workers& workers) {
  constexpr int64_t kAtOnce = 4;
  const int64_t panels = ceil_div(from.lanes, kPanelLanes<T, kSide>);
  const int64_t stride = words_of<T>(depth) * kPanelLanes<T, kSide>;
  workers.parallel_for(ceil_div(panels, kAtOnce), [&](int64_t task, int) {
    const int64_t first = task * kAtOnce;
    pack_panels<T, kSide>(from, first, min(first + kAtOnce, panels), 0, depth, to + first * stride, stride);
  });
}

}  // namespace ww::cpu::WW_ISA
