// What native/cuda/matmul.cpp computes, by loops: the emulated build has no cuBLASLt.
#include "native/cuda/matmul.h"

#include <algorithm>
#include <vector>

#include "native/core/bfloat16.h"
#include "native/kernels/backend.h"

namespace ww::cuda {

namespace {

// The factor as rows[0, outer) of columns[0, inner), whichever way it lies.
template <class T>
std::vector<double> widen(const Factor& factor, bool turn, int64_t outer, int64_t inner) {
  const T* data = static_cast<const T*>(factor.data);
  std::vector<double> wide(outer * inner);
  for (int64_t i = 0; i < outer; ++i) {
    for (int64_t k = 0; k < inner; ++k) {
      wide[i * inner + k] = static_cast<float>(data[turn ? k * factor.stride + i : i * factor.stride + k]);
    }
  }
  return wide;
}

// A row of c at a time, so that a row is the same whatever the number of rows.
template <class T, class Out>
void multiply(const Product& p) {
  const std::vector<double> a = widen<T>(p.a, p.a.transposed, p.M, p.K), b = widen<T>(p.b, p.b.transposed, p.K, p.N);
  std::vector<double> sums(p.N);
  for (int64_t m = 0; m < p.M; ++m) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t k = 0; k < p.K; ++k) {
      const double factor = a[m * p.K + k];
      for (int64_t n = 0; n < p.N; ++n) sums[n] += factor * b[k * p.N + n];
    }
    Out* c = static_cast<Out*>(p.c) + m * p.stride;
    for (int64_t n = 0; n < p.N; ++n) {
      const auto sum = static_cast<float>(sums[n]);
      c[n] = Out(p.add ? static_cast<float>(c[n]) + sum : sum);
    }
  }
}

}  // namespace

void matmul(const char* kernel, const Product& product, CudaStream& stream) {
  stream.begin(kernel);
  if (product.in == DType::f32) return multiply<float, float>(product);
  if (product.out == DType::f32) return multiply<bfloat16, float>(product);
  multiply<bfloat16, bfloat16>(product);
}

void require_matmul() {}

std::vector<LibraryInfo> libraries() { return {}; }

}  // namespace ww::cuda
