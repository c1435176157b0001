#include "native/cuda/kernel.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 512;
constexpr int kBlocksPerMultiprocessor = 4;

__device__ double block_sum_f64(double value) {
  __shared__ double sums[kThreads];
  sums[threadIdx.x] = value;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  return sums[0];
}

template <class T, int kSize>
__global__ void sum_of_squares_kernel(const T* x, double* partial, int64_t size) {
  const int64_t stride = int64_t(gridDim.x) * kThreads * kSize;
  double sum = 0.0;
#pragma unroll 4
  for (int64_t i = (blockIdx.x * int64_t(kThreads) + threadIdx.x) * kSize; i < size; i += stride) {
    const Pack<T, kSize> xs = load<kSize>(x + i);
    for (int k = 0; k < kSize; ++k) sum += double(float(xs[k])) * double(float(xs[k]));
  }
  sum = block_sum_f64(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void root_of_sum_kernel(const double* partial, float* norm, int count) {
  double sum = 0.0;
  for (int i = threadIdx.x; i < count; i += kThreads) sum += partial[i];
  sum = block_sum_f64(sum);
  if (threadIdx.x == 0) norm[0] = static_cast<float>(sqrt(sum));
}

}  // namespace

void run(const GlobalNorm& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int blocks = kBlocksPerMultiprocessor * cuda.limits().multiprocessors;
  double* const partial = static_cast<double*>(cuda.scratch(blocks * sizeof(double)));
  const int64_t size = a.x.size();
  dispatch_float(a.x.dtype, [&]<class T>() {
    dispatch_width<T>(size, {a.x.data}, [&]<int kSize>() {
      launch_kernel(a.kName, sum_of_squares_kernel<T, kSize>, {dim3(blocks), kThreads}, cuda, a.x.as<T>(), partial,
                    size);
    });
  });
  launch_kernel(a.kName, root_of_sum_kernel, {1, kThreads}, cuda, partial, a.norm.as<float>(), blocks);
}

}  // namespace ww::cuda
