#pragma once

#include "native/core/tensor.h"

namespace ww {

// l = logits[rows[e], ids[e]] becomes (l > 0 ? l / change[e,0] : l * change[e,0]) + change[e,1]
//
// Penalties and biases of single tokens (E) before they are drawn: R = rows of logits, V = vocabulary. No two entries
// name the same logit. A row outside [0, R) and an id outside [0, V) are errors.
struct AdjustLogits {
  static constexpr const char* kName = "adjust_logits";
  Tensor rows, ids, change, logits;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("rows", rows, "i32[E]");
    v.in("ids", ids, "i32[E]");
    v.in("change", change, "f32[E,2]");
    v.update("logits", logits, "f32[R,V]");
  }
  double flops() const { return 2.0 * rows.size(); }
};

// tokens[r] is drawn by logits[r,:], V of them. settings[r] is temperature, top-p and min-p; draws[r] is top-k and a
// random number u, of which draws[r,1] as an unsigned integer holds 32 bits: u = draws[r,1] / 2^32.
//
// A temperature of 0 takes the largest logit, of equal ones the first. Otherwise a token's weight is
//   w[i] = exp((logits[r,i] - largest) / temperature), rounded to multiples of 2^-32.
// In the order of their logits, the largest first and of equal ones the lower id first, top-k keeps so many (0: all),
// of these top-p the fewest whose weights sum to at least its share of theirs (1: all), and min-p those whose weight
// before rounding is at least min-p (0: all); the first is always kept. The token is the first in the order of ids at
// which the weights kept up to it sum to more than u times those of all kept.
//
// Sums of the rounded weights are exact, so that a row's token depends on nothing but the row, in whatever order and by
// however many threads they are added. NaN counts as -inf; a row of nothing else gives token 0.
struct SampleTokens {
  static constexpr const char* kName = "sample_tokens";
  Tensor logits, settings, draws, tokens;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("logits", logits, "f32[R,V]");
    v.in("settings", settings, "f32[R,3]");
    v.in("draws", draws, "i32[R,2]");
    v.out("tokens", tokens, "i32[R]");
    v.require(logits.dims[1] > 0 && logits.dims[1] <= int64_t(1) << 21, "0 < V <= 2^21");
  }
  double flops() const { return 1.0 * logits.size(); }
};

// tokens[to[n]] = sampled[from[n]]
//
// Puts tokens that were drawn in one step (S) among those of the next (T). No two entries go to the same place. Places
// outside [0, S) and [0, T) are errors.
struct MoveTokens {
  static constexpr const char* kName = "move_tokens";
  Tensor sampled, from, to, tokens;

  template <class Visitor>
  void visit(Visitor& v) {
    v.in("sampled", sampled, "i32[S]");
    v.in("from", from, "i32[N]");
    v.in("to", to, "i32[N]");
    v.update("tokens", tokens, "i32[T]");
  }
  double flops() const { return 0; }
};

}  // namespace ww
