#include "native/kernels/linear.h"

#include "native/cpu/gemm_few_rows.h"

namespace ww::cpu::WW_ISA {

void compute(const LinearForward& a, Workers& workers) {
  const int64_t R = a.x.dims[0], C = a.x.dims[1], F = a.weight.dims[0];
  dispatch_float(a.x.dtype, [&]<class T>() {
    if (R <= kFewRows<T>) {
      if (R > 0) FewRows<T>(a.x.as<const T>(), a.weight.as<const T>(), a.y.as<T>(), R, C, F).run(workers);
      return;
    }
    const Operand<T> x = rows_as_lanes(a.x.as<const T>(), R, C, C);
    const Operand<T> weight = rows_as_lanes(a.weight.as<const T>(), F, C, C);
    multiply(Product<T, T>{x, weight, C, a.y.as<T>(), F, false}, workers);
  });
}

void compute(const LinearBackwardInput& a, Workers& workers) {
  const int64_t R = a.dy.dims[0], F = a.dy.dims[1], C = a.weight.dims[1];
  dispatch_float(a.dy.dtype, [&]<class T>() {
    const Operand<T> dy = rows_as_lanes(a.dy.as<const T>(), R, F, F);
    const Operand<T> weight = columns_as_lanes(a.weight.as<const T>(), C, F, C);
    multiply(Product<T, T>{dy, weight, F, a.dx.as<T>(), C, false}, workers);
  });
}

void compute(const LinearBackwardWeight& a, Workers& workers) {
  const int64_t R = a.dy.dims[0], F = a.dy.dims[1], C = a.x.dims[1];
  dispatch_float(a.dy.dtype, [&]<class T>() {
    const Operand<T> dy = columns_as_lanes(a.dy.as<const T>(), F, R, F);
    const Operand<T> x = columns_as_lanes(a.x.as<const T>(), C, R, C);
    multiply(Product<T, float>{dy, x, R, a.dweight.as<float>(), C, true}, workers);
  });
}

}  // namespace ww::cpu::WW_ISA
