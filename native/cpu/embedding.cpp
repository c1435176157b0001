#include "native/kernels/embedding.h"

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kNumbersPerTask = 1 << 14;
constexpr int64_t kMinColumns = 64, kMaxStripes = 16;

}  // namespace

void compute(const EmbeddingForward& a, Workers& workers) {
  const int64_t T = a.y.dims[0], C = a.y.dims[1];
  check_indices("tokens", a.tokens, a.weight.dims[0]);
  const int32_t* tokens = a.tokens.as<int32_t>();
  const char* weight = a.weight.as<char>();
  char* y = a.y.as<char>();
  const int64_t row_bytes = C * dtype_bytes(a.y.dtype);
  for_each_row(workers, T, ceil_div(kNumbersPerTask, max(C, 1)),
               [=](int64_t t, int) { __builtin_memcpy(y + t * row_bytes, weight + tokens[t] * row_bytes, row_bytes); });
}

// A task owns a stripe of columns and adds the tokens in order, touching only the rows they name.
void compute(const EmbeddingBackward& a, Workers& workers) {
  const int64_t T = a.dy.dims[0], C = a.dy.dims[1];
  check_indices("tokens", a.tokens, a.dweight.dims[0]);
  const int32_t* tokens = a.tokens.as<int32_t>();
  float* dweight = a.dweight.as<float>();
  const int64_t stripe = max(kMinColumns, round_up(ceil_div(C, kMaxStripes), kLanes));
  dispatch_float(a.dy.dtype, [&]<class N>() {
    const N* dy = a.dy.as<N>();
    workers.parallel_for(ceil_div(C, stripe), [=](int64_t task, int) {
      const int64_t first = task * stripe, columns = min(stripe, C - first);
      for (int64_t t = 0; t < T; ++t) {
        const N* from = dy + t * C + first;
        float* to = dweight + tokens[t] * C + first;
        for_each_vector(columns, [=](int64_t c, int64_t n) { store(to + c, load(to + c, n) + load(from + c, n), n); });
      }
    });
  });
}

}  // namespace ww::cpu::WW_ISA
