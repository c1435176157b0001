#pragma once

#include "native/core/tensor.h"

namespace ww {

// sums[s] = sum_{n: segments[n] = s} values[n]
//
// Sums the log-probabilities of tokens (N) to those of sequences (S). Added in the order of n, in f64, rounded once.
// A segment outside [0, S) is an error; an empty one sums to 0.
struct SegmentSumForward {
  static constexpr const char* kName = "segment_sum_forward";
  Tensor values, segments, sums;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("values", values, "f32[N]");
    v.in("segments", segments, "i32[N]");
    v.out("sums", sums, "f32[S]");
  }
  double flops() const { return 1.0 * values.size(); }
};

// dvalues[n] = dsums[segments[n]]
struct SegmentSumBackward {
  static constexpr const char* kName = "segment_sum_backward";
  Tensor dsums, segments, dvalues;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("dsums", dsums, "f32[S]");
    v.in("segments", segments, "i32[N]");
    v.out("dvalues", dvalues, "f32[N]");
  }
  double flops() const { return 0; }
};

}  // namespace ww
