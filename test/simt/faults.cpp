// Kernels that touch what they must not, chosen by the argument, for AddressSanitizer to find: faults.test.ts.

#include <cstdio>
#include <string_view>

#include "test/simt/memory.h"
#include "test/simt/simt.h"

namespace {

constexpr int kLanes = 32;

__global__ void read_global(const float* x, float* y, int shift) { y[threadIdx.x] = x[threadIdx.x + shift]; }

__global__ void write_global(const float* x, float* y, int shift) { y[threadIdx.x + shift] = x[threadIdx.x]; }

__global__ void read_shared(const float* x, float* y, int shift) {
  __shared__ float staged[kLanes];
  staged[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = staged[threadIdx.x + shift];
}

__global__ void read_dynamic_shared(const float* x, float* y, int shift) {
  WW_DYNAMIC_SHARED(float, staged);
  staged[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = staged[threadIdx.x + shift];
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view fault = count > 1 ? arguments[1] : "", shift = count > 2 ? arguments[2] : "0";
  float* const x = static_cast<float*>(simt::allocate(kLanes * sizeof(float)));
  float* const y = static_cast<float*>(simt::allocate(kLanes * sizeof(float)));
  const auto run = [&](auto kernel) {
    simt::launch("faults", kernel, dim3(1), dim3(kLanes), kLanes * sizeof(float), x, y, shift == "1" ? 1 : 0);
    return 0;
  };
  if (fault == "read_global") return run(read_global);
  if (fault == "write_global") return run(write_global);
  if (fault == "read_shared") return run(read_shared);
  if (fault == "read_dynamic_shared") return run(read_dynamic_shared);
  std::fprintf(stderr, "expected one of the kernels above\n");
  return 2;
}
