// Linked instead of the rest of cuda/ when the addon is built without CUDA.
#include <dlfcn.h>

#include "native/core/error.h"
#include "native/kernels/backend.h"
#include "native/kernels/launch.h"

namespace ww::cuda {

#define KERNEL(Args) \
  void run(const Args&, Stream&) { throw Error(ErrorCode::device, std::string(Args::kName) + ": " + missing_reason()); }
#include "native/kernels/kernels.def"
#undef KERNEL

std::unique_ptr<Stream> make_stream(int) { throw Error(ErrorCode::device, "cuda: " + missing_reason()); }
std::vector<DeviceInfo> devices() { return {}; }
std::vector<LibraryInfo> libraries() { return {}; }
std::string missing_reason() {
  void* const driver = dlopen("libcuda.so.1", RTLD_LAZY);
  if (driver == nullptr) {
    return "the NVIDIA driver was not found (libcuda.so.1), and this build has no CUDA backend: install the driver and "
           "CUDA 13, then build the addon again";
  }
  dlclose(driver);
  return "this build has no CUDA backend: install CUDA 13, whose compiler is nvcc, then build the addon again";
}

}  // namespace ww::cuda
