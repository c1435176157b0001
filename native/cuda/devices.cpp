#include <cuda_runtime_api.h>

#include "native/kernels/backend.h"

namespace ww::cuda {

std::vector<DeviceInfo> devices() {
  std::vector<DeviceInfo> found;
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) return found;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, ordinal) != cudaSuccess) continue;
    found.push_back({properties.name,
                     "compute capability " + std::to_string(properties.major) + "." + std::to_string(properties.minor),
                     static_cast<int64_t>(properties.totalGlobalMem), properties.multiProcessorCount});
  }
  return found;
}

std::string missing_reason() {
  int count = 0, driver = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return "";
  const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    return "the NVIDIA driver was not found (libcuda.so.1): install one for CUDA " + version(CUDART_VERSION) +
           " or later";
  }
  if (status == cudaErrorInsufficientDriver) {
    return "the NVIDIA driver is for CUDA " + version(driver) + ", expected " + version(CUDART_VERSION) +
           " or later: install a newer driver";
  }
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    return "the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES may hide it)";
  }
  return cudaGetErrorString(status);
}

}  // namespace ww::cuda
