#include "native/kernels/swiglu.h"

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kNumbersPerTask = 1 << 13;

}  // namespace

void compute(const SwigluForward& a, Workers& workers) {
  const int64_t R = a.y.dims[0], F = a.y.dims[1];
  dispatch_float(a.y.dtype, [&]<class T>() {
    for_each_row(workers, R, ceil_div(kNumbersPerTask, max(F, 1)), [&](int64_t r, int) {
      const T *gate = a.gate_up.as<T>() + r * 2 * F, *up = gate + F;
      T* y = a.y.as<T>() + r * F;
      for_each_vector(F, [=](int64_t f, int64_t n) {
        const Vec z = load(gate + f, n);
        store(y + f, z * sigmoid(z) * load(up + f, n), n);
      });
    });
  });
}

void compute(const SwigluBackward& a, Workers& workers) {
  const int64_t R = a.dy.dims[0], F = a.dy.dims[1];
  dispatch_float(a.dy.dtype, [&]<class T>() {
    for_each_row(workers, R, ceil_div(kNumbersPerTask, max(F, 1)), [&](int64_t r, int) {
      const T *dy = a.dy.as<T>() + r * F, *gate = a.gate_up.as<T>() + r * 2 * F, *up = gate + F;
      T *dgate = a.dgate_up.as<T>() + r * 2 * F, *dup = dgate + F, *y = a.y.as<T>() + r * F;
      for_each_vector(F, [=](int64_t f, int64_t n) {
        const Vec d = load(dy + f, n), z = load(gate + f, n), u = load(up + f, n), s = sigmoid(z);
        store(dgate + f, d * u * s * (1.0f + z * (1.0f - s)), n);
        store(dup + f, d * z * s, n);
        store(y + f, z * s * u, n);
      });
    });
  });
}

}  // namespace ww::cpu::WW_ISA
