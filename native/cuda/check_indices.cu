#include "native/cuda/kernel.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 1024;

// Records the first index below `count` whose value is out of its range. One block, so that it takes no atomics.
template <class Range>
__device__ void check(Fault* fault, const char* kernel, const char* name, const int32_t* values, int64_t count,
                      const Range& range) {
  __shared__ int64_t firsts[kThreads];
  int64_t first = count;
  for (int64_t i = threadIdx.x; i < count && first == count; i += kThreads) {
    const auto [least, bound] = range(i);
    if (values[i] < least || values[i] >= bound) first = i;
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
    const auto [least, bound] = range(first);
    *fault = {kernel, name, first, values[first], least, bound};
  }
  __syncthreads();
}

struct Range {
  int64_t least, bound;
};

__global__ void check_indices_kernel(Fault* fault, const char* kernel, const char* name, const int32_t* indices,
                                     int64_t count, int64_t bound) {
  check(fault, kernel, name, indices, count, [=](int64_t) { return Range{0, bound}; });
}

// The names come from the host: a literal in a kernel lies in the device's memory.
__global__ void check_mask_kernel(Fault* fault, const char* kernel, const char* start_name, const char* until_name,
                                  const int32_t* sequence_start, const int32_t* visible_until, int64_t T) {
  check(fault, kernel, start_name, sequence_start, T,
        [=](int64_t i) { return Range{i == 0 ? 0 : sequence_start[i - 1], i + 1}; });
  check(fault, kernel, until_name, visible_until, T, [=](int64_t i) { return Range{i + 1, T + 1}; });
}

}  // namespace

void check_indices(CudaStream& stream, const char* kernel, const char* name, const Tensor& indices, int64_t bound) {
  launch_kernel(kernel, check_indices_kernel, {1, kThreads}, stream, stream.fault(), kernel, name,
                indices.as<int32_t>(), indices.size(), bound);
}

void check_mask(CudaStream& stream, const char* kernel, const Tensor& sequence_start, const Tensor& visible_until) {
  launch_kernel(kernel, check_mask_kernel, {1, kThreads}, stream, stream.fault(), kernel, "sequence_start",
                "visible_until", sequence_start.as<int32_t>(), visible_until.as<int32_t>(), sequence_start.size());
}

}  // namespace ww::cuda
