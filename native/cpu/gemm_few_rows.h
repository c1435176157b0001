#pragma once

// Products with so few rows that they take as long as the other operand takes to be read: its numbers go from memory
// through the registers into the sums, and are written nowhere. Every element is summed as in gemm.h.

#include "native/cpu/gemm.h"

namespace ww::cpu::WW_ISA {

// Up to how many rows. Tiles sum in another order, and do not take part.
template <class T>
constexpr int64_t kFewRows = kInTiles<T> ? 0 : 4;

// y[r, f] = sum_k x[r, k] * weight[f, k]
template <class T>
class FewRows {
 public:
  FewRows(const T* x, const T* weight, T* y, int64_t rows, int64_t depth, int64_t columns)
      : x_(x), weight_(weight), y_(y), rows_(rows), depth_(depth), columns_(columns), blocks_(depth) {}

  void run(Workers& workers) const {
    const int64_t stride = round_up(ceil_div(depth_, kPer), kLanes);
    float* words = static_cast<float*>(workers.shared_scratch(rows_ * stride * int64_t(sizeof(float))));
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t k = 0; k < depth_; k += kStep) {
        store(words + r * stride + k / kPer, load_depths(x_ + r * depth_ + k, min(kStep, depth_ - k)));
      }
    }
    const int64_t groups = ceil_div(columns_, kLanes);
    const bool is_serial = (2.0 * rows_ + kPackingWork) * columns_ * depth_ < kSerialWork;
    const int64_t parts = is_serial ? 1 : min(groups, workers.threads() * kTasksPerThread);
    workers.parallel_for(parts, [&](int64_t task, int) {
      const Share share(groups, task, parts);
      for (int64_t group = share.first; group < share.last; ++group) {
        if (rows_ == 1) {
          sum_group<1>(words, stride, group * kLanes);
        } else if (rows_ == 2) {
          sum_group<2>(words, stride, group * kLanes);
        } else {
          sum_group<4>(words, stride, group * kLanes);
        }
      }
    });
  }

 private:
  static constexpr int64_t kPer = kPerWord<T>;
  static constexpr int64_t kStep = kLanes * kPer;  // of the depth
  // Where weights are asked for a block ahead: the first-level cache has too few lines on their way at a time to cover
  // the latency of memory.
  static constexpr int kSecondLevelCache = 2;

  // A vector of columns. Rows that do not exist are the last one again, and are not stored.
  template <int kRows>
  __attribute__((noinline)) void sum_group(const float* words, int64_t stride, int64_t column) const {
    const T* lanes[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) lanes[i] = weight_ + min(column + i, columns_ - 1) * depth_;
    const float* rows[kRows];
    for (int64_t r = 0; r < kRows; ++r) rows[r] = words + min(r, rows_ - 1) * stride;

    Vec totals[kRows] = {};
    for (int64_t begin = 0; begin < depth_; begin += blocks_.depth) {
      const int64_t end = min(depth_, begin + blocks_.depth);
      Vec sums[kRows] = {};
      // From here to the next block, or to the first one of the next vector of columns.
      const int64_t next = end < depth_ ? blocks_.depth : kLanes * depth_ - begin;
      int64_t k = begin;
      for (; k + kStep <= end; k += kStep) {
        Vec tile[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
          __builtin_prefetch(lanes[i] + next + k, 0, kSecondLevelCache);
          tile[i] = load_depths(lanes[i] + k);
        }
        transpose(tile);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r) multiply_add<T>(sums[r], rows[r] + k / kPer + i, tile[i]);
        }
      }
      if (k < end) {
        Vec tile[kLanes];
        for (int i = 0; i < kLanes; ++i) tile[i] = load_depths(lanes[i] + k, end - k);
        transpose(tile);
        for (int64_t i = 0; i < ceil_div(end - k, kPer); ++i) {
          for (int r = 0; r < kRows; ++r) multiply_add<T>(sums[r], rows[r] + k / kPer + i, tile[i]);
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) totals[r] = begin == 0 ? sums[r] : sums[r] + totals[r];
    }
    const int64_t n = min(kLanes, columns_ - column);
    for (int64_t r = 0; r < min(kRows, rows_); ++r) store(y_ + r * columns_ + column, totals[r], n);
  }

  const T *const x_, *const weight_;
  T* const y_;
  const int64_t rows_, depth_, columns_;
  const DepthBlocks<T> blocks_;
};

}  // namespace ww::cpu::WW_ISA
