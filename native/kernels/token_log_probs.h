#pragma once

#include "native/core/tensor.h"

namespace ww {

// The language-model head, log-softmax and label pick in one, for pairs (row, label). With z[n,v] = hidden[rows[n]] .
// weight[v]:
//   lse[n]       = log sum_v exp(z[n,v])
//   log_probs[n] = z[n,labels[n]] - lse[n]
//   entropy[n]   = lse[n] - sum_v softmax(z[n])_v * z[n,v]
//   correct[n]   = 1 if labels[n] is the first largest of z[n], else 0
//   mean_logit[n] = mean_v z[n,v]
//
// T = packed tokens, C = hidden size, V = vocabulary, N = pairs, t = f32 | bf16. A row may appear more than once (the
// last token of a prompt predicts the first token of both answers). Sums are f32. A row outside [0, T) or a label
// outside [0, V) is an error.
//
// With L = 0, z exists only in chunks of rows. With L = N it is kept, logits[n,v] = z[n,v], so that the backward pass
// need not multiply again; a row of it has S >= V numbers, those behind V being anything.
struct TokenLogProbsForward {
  static constexpr const char* kName = "token_log_probs_forward";
  Tensor hidden, weight, rows, labels, log_probs, lse, entropy, correct, mean_logit, logits;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("hidden", hidden, "t[T,C]");
    v.in("weight", weight, "t[V,C]");
    v.in("rows", rows, "i32[N]");
    v.in("labels", labels, "i32[N]");
    v.out("log_probs", log_probs, "f32[N]");
    v.out("lse", lse, "f32[N]");
    v.out("entropy", entropy, "f32[N]");
    v.out("correct", correct, "f32[N]");
    v.out("mean_logit", mean_logit, "f32[N]");
    v.out("logits", logits, "f32[L,S]");
    require_logits(v, logits, rows, weight);
  }

  template <class Visitor>
  static void require_logits(Visitor& v, const Tensor& logits, const Tensor& rows, const Tensor& weight) {
    const int64_t L = logits.dims[0], S = logits.dims[1];
    v.require(L == 0 || L == rows.dims[0], "L = 0 or L = N");
    v.require(L == 0 || (S >= weight.dims[0] && S % 8 == 0), "S >= V and a multiple of 8");
  }
  double flops() const { return 2.0 * rows.size() * weight.size(); }
};

// With dz[n,v] = dlog_probs[n] * ((v = labels[n]) - exp(z[n,v] - lse[n])), z being logits if L = N, or computed again
// chunk by chunk if L = 0:
//   dhidden[t]  = sum_{n: rows[n] = t} dz[n] . weight        0 for a token no pair names
//   dweight[v] += sum_n dz[n,v] * hidden[rows[n]]
// Sums run in a fixed order.
struct TokenLogProbsBackward {
  static constexpr const char* kName = "token_log_probs_backward";
  Tensor hidden, weight, rows, labels, lse, dlog_probs, logits, dhidden, dweight;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("hidden", hidden, "t[T,C]");
    v.in("weight", weight, "t[V,C]");
    v.in("rows", rows, "i32[N]");
    v.in("labels", labels, "i32[N]");
    v.in("lse", lse, "f32[N]");
    v.in("dlog_probs", dlog_probs, "f32[N]");
    v.in("logits", logits, "f32[L,S]");
    v.out("dhidden", dhidden, "t[T,C]");
    v.acc("dweight", dweight, "f32[V,C]");
    TokenLogProbsForward::require_logits(v, logits, rows, weight);
  }
  double flops() const { return (logits.dims[0] > 0 ? 4.0 : 6.0) * rows.size() * weight.size(); }
};

}  // namespace ww
