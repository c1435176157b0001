#include "native/kernels/rms_norm.h"

#include "native/cpu/row_blocks.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kRowsPerTask = 16;

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
void add_row(const T* x, const T* update, T* sum, int64_t C) {
  for_each_vector(C, [=](int64_t c, int64_t n) { store(sum + c, load(x + c, n) + load(update + c, n), n); });
}

template <class T>
void backward_row(const T* dy, const T* x, const T* weight, float rstd, const T* dresidual, T* dx, float* dweight,
                  int64_t C) {
  Vec dot = zero();
  for_each_vector(C, [&](int64_t c, int64_t n) { dot += load(dy + c, n) * load(weight + c, n) * load(x + c, n); });
  const float mean = sum(dot) * rstd / C;  // mean_c(g * n)
  for_each_vector(C, [=](int64_t c, int64_t n) {
    const Vec d = load(dy + c, n), normalized = load(x + c, n) * rstd;
    store(dweight + c, load(dweight + c, n) + d * normalized, n);
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

void compute(const ResidualRmsNormForward& a, Workers& workers) {
  const int64_t R = a.x.dims[0], C = a.x.dims[1];
  dispatch_float(a.x.dtype, [&]<class T>() {
    for_each_row(workers, R, kRowsPerTask, [&](int64_t r, int) {
      T* const sum = a.sum.as<T>() + r * C;
      add_row(a.x.as<T>() + r * C, a.update.as<T>() + r * C, sum, C);
      forward_row(sum, a.weight.as<T>(), a.y.as<T>() + r * C, a.rstd.as<float>() + r, C, a.eps);
    });
  });
}

void compute(const RmsNormBackward& a, Workers& workers) {
  const int64_t R = a.x.dims[0], C = a.x.dims[1];
  const float* rstd = a.rstd.as<float>();
  const RowBlocks blocks(workers, R, C);
  dispatch_float(a.x.dtype, [&]<class T>() {
    const T *dy = a.dy.as<T>(), *x = a.x.as<T>(), *weight = a.weight.as<T>(), *dresidual = a.dresidual.as<T>();
    T* dx = a.dx.as<T>();
    blocks.add_to(a.dweight.as<float>(), workers, [=](int64_t r, float* dweight) {
      backward_row(dy + r * C, x + r * C, weight, rstd[r], dresidual + r * C, dx + r * C, dweight, C);
    });
  });
}

}  // namespace ww::cpu::WW_ISA
