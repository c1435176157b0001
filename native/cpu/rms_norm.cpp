#include "native/kernels/rms_norm.h"

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kRowsPerTask = 16;
constexpr int64_t kColumnsPerTask = 64;

template <class T>
void forward_row(const T* x, const T* weight, T* y, float* rstd, int64_t C, float eps) {
  Vec squares = zero();
  for_each_vector(C, [&](int64_t c, int64_t n) {
    const Vec v = load(x + c, n);
    squares += v * v;
  });
  const float scale = 1.0f / __builtin_sqrtf(sum(squares) / C + eps);
  *rstd = scale;
  for_each_vector(C, [=](int64_t c, int64_t n) { store(y + c, load(x + c, n) * scale * load(weight + c, n), n); });
}

template <class T>
void backward_row(const T* dy, const T* x, const T* weight, float rstd, const T* dresidual, T* dx, int64_t C) {
  Vec dot = zero();
  for_each_vector(C, [&](int64_t c, int64_t n) { dot += load(dy + c, n) * load(weight + c, n) * load(x + c, n); });
  const float mean = sum(dot) * rstd / C;  // mean_c(g * n)
  for_each_vector(C, [=](int64_t c, int64_t n) {
    const Vec g = load(dy + c, n) * load(weight + c, n);
    store(dx + c, load(dresidual + c, n) + rstd * (g - load(x + c, n) * rstd * mean), n);
  });
}

// A task owns a stripe of columns and adds the rows in order: no two threads share a result.
template <class T>
void backward_weight_stripe(const T* dy, const T* x, const float* rstd, float* dweight, int64_t first, int64_t columns,
                            int64_t R, int64_t C) {
  for_each_vector(columns, [=](int64_t i, int64_t n) {
    const int64_t c = first + i;
    Vec total = zero();
    for (int64_t r = 0; r < R; ++r) total += load(dy + r * C + c, n) * load(x + r * C + c, n) * rstd[r];
    store(dweight + c, load(dweight + c, n) + total, n);
  });
}

}  // namespace

void compute(const RmsNormForward& a, Workers& workers) {
  const int64_t R = a.x.dims[0], C = a.x.dims[1];
  dispatch_float(a.x.dtype, [&]<class T>() {
    for_each_row(workers, R, kRowsPerTask, [&](int64_t r, int) {
      forward_row(a.x.as<T>() + r * C, a.weight.as<T>(), a.y.as<T>() + r * C, a.rstd.as<float>() + r, C, a.eps);
    });
  });
}

void compute(const RmsNormBackward& a, Workers& workers) {
  const int64_t R = a.x.dims[0], C = a.x.dims[1];
  const float* rstd = a.rstd.as<float>();
  dispatch_float(a.x.dtype, [&]<class T>() {
    const T *dy = a.dy.as<T>(), *x = a.x.as<T>(), *dresidual = a.dresidual.as<T>();
    workers.parallel_for(ceil_div(C, kColumnsPerTask), [&](int64_t task, int) {
      const int64_t first = task * kColumnsPerTask;
      backward_weight_stripe(dy, x, rstd, a.dweight.as<float>(), first, min(kColumnsPerTask, C - first), R, C);
    });
    for_each_row(workers, R, kRowsPerTask, [&](int64_t r, int) {
      backward_row(dy + r * C, x + r * C, a.weight.as<T>(), rstd[r], dresidual + r * C, a.dx.as<T>() + r * C, C);
    });
  });
}

}  // namespace ww::cpu::WW_ISA
