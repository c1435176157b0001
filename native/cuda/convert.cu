#include "native/cuda/convert.h"

#include <cuda_fp16.h>

#include "native/cuda/kernel.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256;

__device__ float half_bits_to_float(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }

template <class To, class From>
__global__ void convert_kernel(To* to, const From* from, int64_t count) {
  const int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i >= count) return;
  if constexpr (sizeof(From) == 4) {
    to[i] = To(from[i]);
  } else {
    to[i] = To(float(from[i]));
  }
}

template <class To>
__global__ void convert_half_kernel(To* to, const uint16_t* from, int64_t count) {
  const int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i < count) to[i] = To(half_bits_to_float(from[i]));
}

}  // namespace

void convert(CudaStream& stream, void* to, DType to_dtype, const void* from, FileDType from_dtype, int64_t count) {
  const Grid grid{dim3(ceil_div(count, kThreads)), kThreads};
  dispatch_float(to_dtype, [&]<class To>() {
    To* const target = static_cast<To*>(to);
    if (from_dtype == FileDType::f16) {
      launch_kernel("load", convert_half_kernel<To>, grid, stream, target, static_cast<const uint16_t*>(from), count);
    } else if (from_dtype == FileDType::bf16) {
      launch_kernel("load", convert_kernel<To, bf16>, grid, stream, target, static_cast<const bf16*>(from), count);
    } else {
      launch_kernel("load", convert_kernel<To, float>, grid, stream, target, static_cast<const float*>(from), count);
    }
  });
}

}  // namespace ww::cuda
