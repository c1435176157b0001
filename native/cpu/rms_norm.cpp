#include "native/kernels/rms_norm.h"

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kRowsPerTask = 16;
constexpr int64_t kPartialSums = 64;
constexpr int64_t kColumnsPerTask = 256;

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

// Also adds the row's part of dweight to `partial`.
template <class T>
void backward_row(const T* dy, const T* x, const T* weight, float rstd, const T* dresidual, T* dx, float* partial,
                  int64_t C) {
  Vec dot = zero();
  for_each_vector(C, [&](int64_t c, int64_t n) { dot += load(dy + c, n) * load(weight + c, n) * load(x + c, n); });
  const float mean = sum(dot) * rstd / C;  // mean_c(g * n)
  for_each_vector(C, [=](int64_t c, int64_t n) {
    const Vec d = load(dy + c, n), normalized = load(x + c, n) * rstd;
    store(partial + c, load(partial + c, n) + d * normalized, n);
    store(dx + c, load(dresidual + c, n) + rstd * (d * load(weight + c, n) - normalized * mean), n);
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

// One pass over dy and x: a task takes a block of rows and sums their dweight apart; the blocks, whose number follows
// from R alone, are then added in order.
void compute(const RmsNormBackward& a, Workers& workers) {
  const int64_t R = a.x.dims[0], C = a.x.dims[1];
  const int64_t rows = max(kRowsPerTask, ceil_div(R, kPartialSums)), blocks = ceil_div(R, rows);
  const float* rstd = a.rstd.as<float>();
  float* partial = static_cast<float*>(workers.shared_scratch(blocks * C * sizeof(float)));
  dispatch_float(a.x.dtype, [&]<class T>() {
    const T *dy = a.dy.as<T>(), *x = a.x.as<T>(), *dresidual = a.dresidual.as<T>();
    workers.parallel_for(blocks, [&](int64_t block, int) {
      __builtin_memset(partial + block * C, 0, C * sizeof(float));
      for (int64_t r = block * rows; r < min(R, (block + 1) * rows); ++r) {
        backward_row(dy + r * C, x + r * C, a.weight.as<T>(), rstd[r], dresidual + r * C, a.dx.as<T>() + r * C,
                     partial + block * C, C);
      }
    });
  });
  float* dweight = a.dweight.as<float>();
  workers.parallel_for(ceil_div(C, kColumnsPerTask), [=](int64_t task, int) {
    const int64_t first = task * kColumnsPerTask;
    for_each_vector(min(kColumnsPerTask, C - first), [=](int64_t i, int64_t n) {
      Vec total = zero();
      for (int64_t block = 0; block < blocks; ++block) total += load(partial + block * C + first + i, n);
      store(dweight + first + i, load(dweight + first + i, n) + total, n);
    });
  });
}

}  // namespace ww::cpu::WW_ISA
