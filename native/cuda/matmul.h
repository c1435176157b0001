#pragma once

#include <string>

#include "native/cuda/cuda_stream.h"

namespace ww::cuda {

// A factor of a product: rows with `stride` elements from one start to the next. `transposed`: it lies the other way
// round.
struct Factor {
  const void* data;
  int64_t stride;
  bool transposed = false;
};

// c[m,n] = sum_k a[m,k] b[k,n], added to c where `add`. c has the factors' dtype or f32. Sums are f32.
struct Product {
  int64_t M, N, K;
  DType in;
  Factor a, b;
  DType out;
  void* c;
  int64_t stride;
  bool add = false;
};

// By cuBLASLt. `kernel` is who asks, for profilers and errors. Uses none of the stream's scratch().
void matmul(const char* kernel, const Product& product, CudaStream& stream);

// Throws ww::Error (device) where matmul would not find its library.
void require_matmul();

}  // namespace ww::cuda
