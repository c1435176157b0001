#pragma once

// What a CPU kernel is written with. A kernel file defines, for each of its declarations,
//
//   namespace ww::cpu::WW_ISA { void compute(const Args&, Workers&); }
//
// and is compiled once for each instruction set of isa.def with WW_ISA set to its name. Only WW_INLINE functions and
// templates over types of namespace WW_ISA may be left for the linker to merge, so the standard library's inline
// functions stay out of these files.

#include "native/core/error.h"
#include "native/core/inline.h"
#include "native/core/tensor.h"
#include "native/cpu/workers.h"

namespace ww::cpu::WW_ISA {

// Calls body.template operator()<T>() with T the C++ type of `dtype`.
template <class Body>
WW_INLINE void dispatch_float(DType dtype, const Body& body) {
  if (dtype == DType::f32) return body.template operator()<float>();
  return body.template operator()<bfloat16>();
}

WW_INLINE int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
WW_INLINE int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
WW_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
WW_INLINE int64_t round_up(int64_t a, int64_t unit) { return ceil_div(a, unit) * unit; }

// Rows are handed out in blocks, so that a task is long against the cost of taking it.
template <class Body>
WW_INLINE void for_each_row(Workers& workers, int64_t rows, int64_t rows_per_task, const Body& body) {
  workers.parallel_for(ceil_div(rows, rows_per_task), [&](int64_t task, int thread) {
    const int64_t end = min(rows, (task + 1) * rows_per_task);
    for (int64_t row = task * rows_per_task; row < end; ++row) body(row, thread);
  });
}

}  // namespace ww::cpu::WW_ISA

namespace ww::cpu {

// Throws ww::Error (value): "tokens[5] = 70000, expected 0 <= tokens < 512" for the first index outside [0, bound).
void check_indices(const char* name, const Tensor& indices, int64_t bound);

// The same for the indices [begin, end) alone.
void check_indices(const char* name, const Tensor& indices, int64_t begin, int64_t end, int64_t bound);

// The same where sequence_start falls or lies behind its token, and where a token does not see itself.
void check_mask(const Tensor& sequence_start, const Tensor& visible_until);

}  // namespace ww::cpu
