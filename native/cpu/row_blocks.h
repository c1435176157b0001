#pragma once

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

// Sums over rows in one pass over them: a task takes a block of rows and sums it apart, then the blocks are added in
// order. Their number follows from the rows alone, so the sums do not depend on the number of threads.
struct RowBlocks {
  static constexpr int64_t kMinRows = 16, kMaxBlocks = 64, kColumnsPerTask = 256;

  int64_t rows, columns, rows_per_block, blocks;
  float* partial;  // [blocks, columns]

  WW_INLINE RowBlocks(Workers& workers, int64_t rows, int64_t columns)
      : rows(rows),
        columns(columns),
        rows_per_block(max(kMinRows, ceil_div(rows, kMaxBlocks))),
        blocks(ceil_div(rows, rows_per_block)),
        partial(static_cast<float*>(workers.shared_scratch(blocks * columns * sizeof(float)))) {}

  // Calls body(row, sums) for every row; body adds the row's part to sums[0..columns). Then adds all of them to
  // `total`.
  template <class Body>
  WW_INLINE void add_to(float* total, Workers& workers, const Body& body) const {
    workers.parallel_for(blocks, [&](int64_t block, int) {
      float* sums = partial + block * columns;
      __builtin_memset(sums, 0, columns * sizeof(float));
      const int64_t end = min(rows, (block + 1) * rows_per_block);
      for (int64_t row = block * rows_per_block; row < end; ++row) body(row, sums);
    });
    workers.parallel_for(ceil_div(columns, kColumnsPerTask), [&](int64_t task, int) {
      const int64_t first = task * kColumnsPerTask;
      for_each_vector(min(kColumnsPerTask, columns - first), [&](int64_t i, int64_t n) {
        Vec sum = zero();
        for (int64_t block = 0; block < blocks; ++block) sum += load(partial + block * columns + first + i, n);
        store(total + first + i, load(total + first + i, n) + sum, n);
      });
    });
  }
};

}  // namespace ww::cpu::WW_ISA
