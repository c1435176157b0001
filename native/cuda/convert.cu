#include "native/cuda/convert.h"

#include <cuda_fp16.h>

#include "native/cuda/kernel.cuh"
#include "native/kernels/adamw_storage.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256;

struct Half {
  uint16_t bits;
};
struct Low {
  uint16_t bits;
};

__device__ float to_float(float value) { return value; }
__device__ float to_float(bf16 value) { return float(value); }
__device__ float to_float(Half value) { return __half2float(__ushort_as_half(value.bits)); }

__device__ void put(float& to, float value) { to = value; }
__device__ void put(bf16& to, float value) {
  uint16_t weight, low;
  split_master(value, weight, low);
  to = __ushort_as_bfloat16(weight);
}
__device__ void put(Low& to, float value) {
  uint16_t weight;
  split_master(value, weight, to.bits);
}

template <class To, class From>
__global__ void convert_kernel(To* to, const From* from, int64_t count) {
  const int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i < count) put(to[i], to_float(from[i]));
}

template <class To, class From>
void launch_convert(CudaStream& stream, void* to, const void* from, int64_t count) {
  const Grid grid{dim3(ceil_div(count, kThreads)), kThreads};
  launch_kernel("load", convert_kernel<To, From>, grid, stream, static_cast<To*>(to), static_cast<const From*>(from),
                count);
}

template <class To>
void convert_to(CudaStream& stream, void* to, const void* from, FileDType dtype, int64_t count) {
  if (dtype == FileDType::f16) return launch_convert<To, Half>(stream, to, from, count);
  if (dtype == FileDType::bf16) return launch_convert<To, bf16>(stream, to, from, count);
  launch_convert<To, float>(stream, to, from, count);
}

}  // namespace

void convert(CudaStream& stream, void* to, DType to_dtype, const void* from, FileDType from_dtype, int64_t count) {
  if (to_dtype == DType::f32) return convert_to<float>(stream, to, from, from_dtype, count);
  if (to_dtype == DType::bf16) return convert_to<bf16>(stream, to, from, from_dtype, count);
  convert_to<Low>(stream, to, from, from_dtype, count);
}

}  // namespace ww::cuda
