#include <algorithm>

#include "native/cuda/column_sums.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostPartials = 256;

// Block (chunk, row) of a grid in one dimension: rows may be more than the other dimensions allow.
template <class T, int kSize>
__global__ void bias_forward_kernel(T* x, const T* bias, int64_t features, int64_t chunks) {
  const int64_t row = blockIdx.x / chunks, f = ((blockIdx.x % chunks) * kThreads + threadIdx.x) * kSize;
  if (f >= features) return;
  const Pack<T, kSize> bs = load<kSize>(bias + f);
  Pack<T, kSize> xs = load<kSize>(x + row * features + f);
  for (int k = 0; k < kSize; ++k) xs[k] = T(float(xs[k]) + float(bs[k]));
  store(x + row * features + f, xs);
}

template <class T>
__global__ void bias_backward_kernel(const T* dy, float* partial, int64_t rows, int64_t features, int64_t chunks) {
  const int64_t group = blockIdx.x / chunks, groups = gridDim.x / chunks;
  const int64_t f = (blockIdx.x % chunks) * kThreads + threadIdx.x;
  if (f >= features) return;
  float sum = 0.0f;
#pragma unroll 4
  for (int64_t row = group; row < rows; row += groups) sum += float(dy[row * features + f]);
  partial[group * features + f] = sum;
}

}  // namespace

void run(const BiasForward& a, Stream& stream) {
  const int64_t R = a.x.dims[0], F = a.x.dims[1];
  dispatch_float(a.x.dtype, [&]<class T>() {
    dispatch_width<T>(F, {a.x.data, a.bias.data}, [&]<int kSize>() {
      const int64_t chunks = ceil_div(F, kThreads * kSize);
      launch_kernel(a.kName, bias_forward_kernel<T, kSize>, {dim3(R * chunks), kThreads},
                    static_cast<CudaStream&>(stream), a.x.as<T>(), a.bias.as<T>(), F, chunks);
    });
  });
}

void run(const BiasBackward& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t R = a.dy.dims[0], F = a.dy.dims[1], groups = std::min(R, kMostPartials);
  const int64_t chunks = ceil_div(F, kThreads);
  float* const partial = static_cast<float*>(cuda.scratch(groups * F * sizeof(float)));
  dispatch_float(a.dy.dtype, [&]<class T>() {
    launch_kernel(a.kName, bias_backward_kernel<T>, {dim3(groups * chunks), kThreads}, cuda, a.dy.as<T>(), partial, R,
                  F, chunks);
  });
  add_column_sums(a.kName, partial, a.dbias.as<float>(), groups, F, cuda);
}

}  // namespace ww::cuda
