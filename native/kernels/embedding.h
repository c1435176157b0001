#pragma once

#include "native/core/tensor.h"

namespace ww {

// y[t,c] = weight[tokens[t],c]
//
// T = tokens, V = rows of the table, C = columns, t = f32 | bf16. A token outside [0, V) is an error. With a tensor of
// hidden states as the table this gathers rows.
struct EmbeddingForward {
  static constexpr const char* kName = "embedding_forward";
  Tensor tokens, weight, y;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("tokens", tokens, "i32[T]");
    v.in("weight", weight, "t[V,C]");
    v.out("y", y, "t[T,C]");
  }
  double flops() const { return 0; }
};

// dweight[v,c] += sum_{t: tokens[t] = v} dy[t,c]      summed in the order of t: runs repeat bit for bit
struct EmbeddingBackward {
  static constexpr const char* kName = "embedding_backward";
  Tensor tokens, dy, dweight;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("tokens", tokens, "i32[T]");
    v.in("dy", dy, "t[T,C]");
    v.acc("dweight", dweight, "f32[V,C]");
  }
  double flops() const { return 1.0 * dy.size(); }
};

}  // namespace ww
