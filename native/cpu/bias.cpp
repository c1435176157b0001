#include "native/kernels/bias.h"

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kNumbersPerTask = 1 << 14;
constexpr int kVectorsPerStripe = 4;
constexpr int64_t kStripe = kVectorsPerStripe * kLanes;

// A task owns a stripe of features and adds the rows in order: no two threads share a result.
template <class T>
void add_rows(const T* dy, float* dbias, int64_t first, int64_t R, int64_t F) {
  const int64_t features = min(kStripe, F - first);
  Vec total[kVectorsPerStripe] = {};
  if (features == kStripe) {
    for (int64_t r = 0; r < R; ++r) {
      for (int i = 0; i < kVectorsPerStripe; ++i) total[i] += load(dy + r * F + first + i * kLanes);
    }
    for (int i = 0; i < kVectorsPerStripe; ++i) {
      float* to = dbias + first + i * kLanes;
      store(to, load(to) + total[i]);
    }
    return;
  }
  for_each_vector(features, [=](int64_t i, int64_t n) {
    Vec sum = zero();
    for (int64_t r = 0; r < R; ++r) sum += load(dy + r * F + first + i, n);
    store(dbias + first + i, load(dbias + first + i, n) + sum, n);
  });
}

}  // namespace

void compute(const BiasForward& a, Workers& workers) {
  const int64_t R = a.x.dims[0], F = a.x.dims[1];
  dispatch_float(a.x.dtype, [&]<class T>() {
    const T *x = a.x.as<T>(), *bias = a.bias.as<T>();
    T* y = a.y.as<T>();
    for_each_row(workers, R, ceil_div(kNumbersPerTask, max(F, 1)), [=](int64_t r, int) {
      for_each_vector(
          F, [=](int64_t f, int64_t n) { store(y + r * F + f, load(x + r * F + f, n) + load(bias + f, n), n); });
    });
  });
}

void compute(const BiasBackward& a, Workers& workers) {
  const int64_t R = a.dy.dims[0], F = a.dy.dims[1];
  float* dbias = a.dbias.as<float>();
  dispatch_float(a.dy.dtype, [&]<class T>() {
    const T* dy = a.dy.as<T>();
    workers.parallel_for(ceil_div(F, kStripe), [=](int64_t task, int) { add_rows(dy, dbias, task * kStripe, R, F); });
  });
}

}  // namespace ww::cpu::WW_ISA
