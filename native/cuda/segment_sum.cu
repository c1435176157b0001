#include "native/cuda/kernel.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256;

// One block a segment. Each thread adds every 256th value in order, then the threads' sums are added as a tree: in f64
// either order rounds to the same f32 but for ties.
__global__ void segment_sum_forward_kernel(const float* values, const int32_t* segments, float* sums, int64_t count) {
  __shared__ double thread_sums[kThreads];
  double sum = 0.0;
  for (int64_t n = threadIdx.x; n < count; n += kThreads) {
    if (segments[n] == static_cast<int>(blockIdx.x)) sum += values[n];
  }
  thread_sums[threadIdx.x] = sum;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) thread_sums[threadIdx.x] += thread_sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = static_cast<float>(thread_sums[0]);
}

__global__ void segment_sum_backward_kernel(const float* dsums, const int32_t* segments, float* dvalues, int64_t count,
                                            int64_t bound) {
  const int64_t n = blockIdx.x * int64_t(kThreads) + threadIdx.x;
  if (n >= count) return;
  const int segment = segments[n];
  dvalues[n] = segment >= 0 && segment < bound ? dsums[segment] : 0.0f;
}

}  // namespace

void run(const SegmentSumForward& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  check_indices(cuda, a.kName, "segments", a.segments, a.sums.size());
  launch_kernel(a.kName, segment_sum_forward_kernel, {dim3(a.sums.size()), kThreads}, cuda, a.values.as<float>(),
                a.segments.as<int32_t>(), a.sums.as<float>(), a.values.size());
}

void run(const SegmentSumBackward& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t count = a.dvalues.size();
  check_indices(cuda, a.kName, "segments", a.segments, a.dsums.size());
  launch_kernel(a.kName, segment_sum_backward_kernel, {dim3(ceil_div(count, kThreads)), kThreads}, cuda,
                a.dsums.as<float>(), a.segments.as<int32_t>(), a.dvalues.as<float>(), count, a.dsums.size());
}

}  // namespace ww::cuda
