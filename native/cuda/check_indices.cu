#include "native/cuda/kernel.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 1024;

// One block, so that the first bad index is found without atomics.
__global__ void check_indices_kernel(Fault* fault, const char* kernel, const char* name, const int32_t* indices,
                                     int64_t count, int64_t bound) {
  __shared__ int64_t firsts[kThreads];
  int64_t first = count;
  for (int64_t i = threadIdx.x; i < count && first == count; i += kThreads) {
    if (indices[i] < 0 || indices[i] >= bound) first = i;
  }
  firsts[threadIdx.x] = first;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half && firsts[threadIdx.x + half] < firsts[threadIdx.x]) {
      firsts[threadIdx.x] = firsts[threadIdx.x + half];
    }
    __syncthreads();
  }
  first = firsts[0];
  if (threadIdx.x == 0 && first < count && fault->kernel == nullptr) {
    *fault = {kernel, name, first, indices[first], bound};
  }
}

}  // namespace

void check_indices(CudaStream& stream, const char* kernel, const char* name, const Tensor& indices, int64_t bound) {
  launch_kernel(kernel, check_indices_kernel, {1, kThreads}, stream, stream.fault(), kernel, name,
                indices.as<int32_t>(), indices.size(), bound);
}

}  // namespace ww::cuda
