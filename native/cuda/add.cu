#include "native/cuda/kernel.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256;

template <class T, int kSize>
__global__ void add_kernel(const T* a, const T* b, T* y, int64_t size) {
  const int64_t i = (blockIdx.x * int64_t(kThreads) + threadIdx.x) * kSize;
  if (i >= size) return;
  const Pack<T, kSize> as = load<kSize>(a + i), bs = load<kSize>(b + i);
  Pack<T, kSize> ys;
  for (int k = 0; k < kSize; ++k) ys[k] = T(float(as[k]) + float(bs[k]));
  store(y + i, ys);
}

}  // namespace

void run(const Add& a, Stream& stream) {
  const int64_t size = a.y.size();
  dispatch_float(a.y.dtype, [&]<class T>() {
    dispatch_width<T>(size, {a.a.data, a.b.data, a.y.data}, [&]<int kSize>() {
      launch_kernel(a.kName, add_kernel<T, kSize>, {dim3(ceil_div(size, kThreads * kSize)), kThreads},
                    static_cast<CudaStream&>(stream), a.a.as<T>(), a.b.as<T>(), a.y.as<T>(), size);
    });
  });
}

}  // namespace ww::cuda
