#include <algorithm>

#include "native/cuda/kernel.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int64_t kMostThreads = 256;

__device__ __forceinline__ float fast_sigmoid(float z) { return __fdividef(1.0f, 1.0f + __expf(-z)); }

// Block (chunk, row) of a grid in one dimension.
template <class T, int kSize>
__global__ void swiglu_forward_kernel(const T* gate_up, T* y, int64_t F, int64_t chunks) {
  const int64_t row = blockIdx.x / chunks, f = ((blockIdx.x % chunks) * blockDim.x + threadIdx.x) * kSize;
  if (f >= F) return;
  const T* const gate = gate_up + row * 2 * F + f;
  const Pack<T, kSize> gates = load<kSize>(gate), ups = load<kSize>(gate + F);
  Pack<T, kSize> ys;
  for (int k = 0; k < kSize; ++k) {
    const float g = float(gates[k]);
    ys[k] = T(g * fast_sigmoid(g) * float(ups[k]));
  }
  store(y + row * F + f, ys);
}

template <class T, int kSize>
__global__ void swiglu_backward_kernel(const T* dy, const T* gate_up, T* dgate_up, T* y, int64_t F, int64_t chunks) {
  const int64_t row = blockIdx.x / chunks, f = ((blockIdx.x % chunks) * blockDim.x + threadIdx.x) * kSize;
  if (f >= F) return;
  const T* const gate = gate_up + row * 2 * F + f;
  const Pack<T, kSize> dys = load<kSize>(dy + row * F + f), gates = load<kSize>(gate), ups = load<kSize>(gate + F);
  Pack<T, kSize> dgates, dups, ys;
  for (int k = 0; k < kSize; ++k) {
    const float d = float(dys[k]), g = float(gates[k]), u = float(ups[k]), s = fast_sigmoid(g);
    dgates[k] = T(d * u * s * (1.0f + g * (1.0f - s)));
    dups[k] = T(d * g * s);
    ys[k] = T(g * s * u);
  }
  T* const dgate = dgate_up + row * 2 * F + f;
  store(dgate, dgates);
  store(dgate + F, dups);
  store(y + row * F + f, ys);
}

struct Shape {
  int64_t chunks;
  Grid grid;
};

Shape shape_of(int64_t rows, int64_t packs) {
  const int64_t threads = std::min(kMostThreads, round_up(packs, kWarp)), chunks = ceil_div(packs, threads);
  return {chunks, {dim3(rows * chunks), static_cast<int>(threads)}};
}

}  // namespace

void run(const SwigluForward& a, Stream& stream) {
  const int64_t R = a.y.dims[0], F = a.y.dims[1];
  dispatch_float(a.y.dtype, [&]<class T>() {
    dispatch_width<T>(F, {a.gate_up.data, a.y.data}, [&]<int kSize>() {
      const auto [chunks, grid] = shape_of(R, F / kSize);
      launch_kernel(a.kName, swiglu_forward_kernel<T, kSize>, grid, static_cast<CudaStream&>(stream), a.gate_up.as<T>(),
                    a.y.as<T>(), F, chunks);
    });
  });
}

void run(const SwigluBackward& a, Stream& stream) {
  const int64_t R = a.dy.dims[0], F = a.dy.dims[1];
  dispatch_float(a.dy.dtype, [&]<class T>() {
    dispatch_width<T>(F, {a.dy.data, a.gate_up.data, a.dgate_up.data, a.y.data}, [&]<int kSize>() {
      const auto [chunks, grid] = shape_of(R, F / kSize);
      launch_kernel(a.kName, swiglu_backward_kernel<T, kSize>, grid, static_cast<CudaStream&>(stream), a.dy.as<T>(),
                    a.gate_up.as<T>(), a.dgate_up.as<T>(), a.y.as<T>(), F, chunks);
    });
  });
}

}  // namespace ww::cuda
