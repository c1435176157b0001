#pragma once

// What a CUDA kernel is written with. A kernel file defines, for each of its declarations,
//
//   namespace ww::cuda { void run(const Args&, Stream&); }
//
// nvcc compiles it for GPUs; with WW_EMULATED a host compiler does, and test/simt runs it lane by lane on the CPU. Both
// see the same source: launches go through launch_kernel, dynamic shared memory through WW_DYNAMIC_SHARED, and whatever
// CUDA C++ cannot say through ptx.cuh.

#include <cuda_bf16.h>
#ifdef WW_EMULATED
#include "test/simt/simt.h"
#else
#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>
#endif

#include <cstdint>

#include "native/core/error.h"
#include "native/core/tensor.h"
#include "native/cuda/cuda_stream.h"

namespace ww::cuda {

using bf16 = __nv_bfloat16;

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

WW_HOST_DEVICE constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
WW_HOST_DEVICE constexpr int64_t round_up(int64_t a, int64_t unit) { return ceil_div(a, unit) * unit; }

// kSize elements of T, moved by one instruction if their address is a multiple of their size.
template <class T, int kSize>
struct alignas(sizeof(T) * kSize) Pack {
  T values[kSize];
  __device__ T& operator[](int i) { return values[i]; }
  __device__ const T& operator[](int i) const { return values[i]; }
};

template <int kSize, class T>
__device__ __forceinline__ Pack<T, kSize> load(const T* address) {
  return *reinterpret_cast<const Pack<T, kSize>*>(address);
}
template <class T, int kSize>
__device__ __forceinline__ void store(T* address, const Pack<T, kSize>& pack) {
  *reinterpret_cast<Pack<T, kSize>*>(address) = pack;
}

__device__ __forceinline__ float warp_sum(float value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(kAllLanes, value, offset);
  return value;
}
__device__ __forceinline__ float warp_max(float value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  return value;
}

// Sum over a block of whole warps in a fixed order, returned to every thread. Its barriers let it be called in a loop.
// Static, as is everything with shared arrays: AddressSanitizer leaves out what the linker may merge.
static __device__ __forceinline__ float block_sum(float value) {
  __shared__ float warp_sums[kWarp];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  value = warp_sum(value);
  if (lane == 0) warp_sums[warp] = value;
  __syncthreads();
  value = warp_sum(lane < static_cast<int>(blockDim.x) / kWarp ? warp_sums[lane] : 0.0f);
  __syncthreads();
  return value;
}

struct Grid {
  dim3 blocks;
  int threads;
  int64_t shared_bytes = 0;
};

// Every launch goes through here: one place to raise the limit of shared memory, to name the kernel for profilers and
// for errors that come later, and to check.
template <class... Params, class... Args>
void launch_kernel(const char* name, void (*kernel)(Params...), Grid grid, CudaStream& stream, Args... args) {
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  stream.begin(name);
#ifdef WW_EMULATED
  simt::launch(name, kernel, grid.blocks, dim3(grid.threads), grid.shared_bytes, Params(args)...);
#else
  if (grid.shared_bytes > 48 * 1024) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, grid.shared_bytes), name);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid.blocks;
  config.blockDim = grid.threads;
  config.dynamicSmemBytes = grid.shared_bytes;
  config.stream = stream.handle();
  nvtxRangePushA(name);
  const cudaError_t status = cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...);
  nvtxRangePop();
  check(status, name);
#endif
}

// Calls body.template operator()<T>() with T the device's type of `dtype`.
template <class Body>
void dispatch_float(DType dtype, const Body& body) {
  if (dtype == DType::f32) return body.template operator()<float>();
  return body.template operator()<bf16>();
}

// Calls body.template operator()<kSize>() with the most elements of T that one access of 16 bytes moves, or 1 where an
// address or the row length does not allow it. `row` is the number of elements between the starts of rows.
template <class T, class Body>
void dispatch_width(int64_t row, std::initializer_list<const void*> addresses, const Body& body) {
  constexpr int kSize = 16 / sizeof(T);
  bool aligned = row % kSize == 0;
  for (const void* address : addresses) aligned = aligned && reinterpret_cast<uintptr_t>(address) % 16 == 0;
  if (aligned) return body.template operator()<kSize>();
  return body.template operator()<1>();
}

// Fails the stream with "tokens[5] = 70000, expected 0 <= tokens < 512" for the first index outside [0, bound). Kernels
// that follow have to stay in bounds by themselves: they run all the same.
void check_indices(CudaStream& stream, const char* kernel, const char* name, const Tensor& indices, int64_t bound);

// Likewise for an attention mask: sequence_start never falls and lies not behind its token, which sees itself.
void check_mask(CudaStream& stream, const char* kernel, const Tensor& sequence_start, const Tensor& visible_until);

}  // namespace ww::cuda
