#include "native/cuda/kernel.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256;

template <class From, class To, int kSize>
__global__ void cast_kernel(const From* x, To* y, int64_t size) {
  const int64_t i = (blockIdx.x * int64_t(kThreads) + threadIdx.x) * kSize;
  if (i >= size) return;
  const Pack<From, kSize> xs = load<kSize>(x + i);
  Pack<To, kSize> ys;
  for (int k = 0; k < kSize; ++k) ys[k] = To(float(xs[k]));
  store(y + i, ys);
}

}  // namespace

void run(const Cast& a, Stream& stream) {
  const int64_t size = a.y.size();
  dispatch_float(a.x.dtype, [&]<class From>() {
    dispatch_float(a.y.dtype, [&]<class To>() {
      dispatch_width<float>(size, {a.x.data, a.y.data}, [&]<int kSize>() {
        launch_kernel(a.kName, cast_kernel<From, To, kSize>, {dim3(ceil_div(size, kThreads * kSize)), kThreads},
                      static_cast<CudaStream&>(stream), a.x.as<From>(), a.y.as<To>(), size);
      });
    });
  });
}

}  // namespace ww::cuda
