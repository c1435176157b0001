#include "native/kernels/bias.h"

#include "native/cpu/row_blocks.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kNumbersPerTask = 1 << 14;

}  // namespace

void compute(const BiasForward& a, Workers& workers) {
  const int64_t R = a.x.dims[0], F = a.x.dims[1];
  dispatch_float(a.x.dtype, [&]<class T>() {
    const T* bias = a.bias.as<T>();
    T* x = a.x.as<T>();
    for_each_row(workers, R, ceil_div(kNumbersPerTask, max(F, 1)), [=](int64_t r, int) {
      for_each_vector(
          F, [=](int64_t f, int64_t n) { store(x + r * F + f, load(x + r * F + f, n) + load(bias + f, n), n); });
    });
  });
}

void compute(const BiasBackward& a, Workers& workers) {
  const int64_t R = a.dy.dims[0], F = a.dy.dims[1];
  const RowBlocks blocks(workers, R, F);
  dispatch_float(a.dy.dtype, [&]<class T>() {
    const T* dy = a.dy.as<T>();
    blocks.add_to(a.dbias.as<float>(), workers, [=](int64_t r, float* dbias) {
      for_each_vector(F,
                      [=](int64_t f, int64_t n) { store(dbias + f, load(dbias + f, n) + load(dy + r * F + f, n), n); });
    });
  });
}

}  // namespace ww::cpu::WW_ISA
