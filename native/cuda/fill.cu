#include "native/cuda/kernel.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256;

template <class T, int kSize>
__global__ void fill_kernel(T* x, T value, int64_t size) {
  const int64_t i = (blockIdx.x * int64_t(blockDim.x) + threadIdx.x) * kSize;
  if (i >= size) return;
  Pack<T, kSize> pack;
  for (int k = 0; k < kSize; ++k) pack[k] = value;
  store(x + i, pack);
}

}  // namespace

void run(const Fill& a, Stream& stream) {
  const int64_t size = a.x.size();
  dispatch_float(a.x.dtype, [&]<class T>() {
    dispatch_width<T>(size, {a.x.data}, [&]<int kSize>() {
      launch_kernel(a.kName, fill_kernel<T, kSize>, {dim3(ceil_div(size, kThreads * kSize)), kThreads},
                    static_cast<CudaStream&>(stream), a.x.as<T>(), T(a.value), size);
    });
  });
}

}  // namespace ww::cuda
