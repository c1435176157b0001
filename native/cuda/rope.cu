#include "native/cuda/ptx.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 128;

// One block a token: its cosines and sines are computed once, for all heads. `kSign` is 1 forward, -1 for the
// transpose.
template <class T, int kSize>
__global__ void rope_kernel(T* x, const int32_t* positions, const float* inverse_frequencies, int heads, int rotated,
                            int E, float scaling, float sign) {
  WW_DYNAMIC_SHARED(float, turns);  // cosines [E], sines [E]
  const float position = static_cast<float>(positions[blockIdx.x]);
  for (int d = threadIdx.x; d < E; d += kThreads) {
    float sine, cosine;
    sincosf(position * inverse_frequencies[d], &sine, &cosine);
    turns[d] = scaling * cosine;
    turns[E + d] = sign * scaling * sine;
  }
  __syncthreads();

  const int packs = E / kSize;  // of half a head
  x += blockIdx.x * int64_t(heads) * 2 * E;
  for (int i = threadIdx.x; i < rotated * packs; i += kThreads) {
    const int d = i % packs * kSize, at = i / packs * 2 * E + d;
    Pack<T, kSize> low = load<kSize>(x + at), high = load<kSize>(x + at + E);
    for (int k = 0; k < kSize; ++k) {
      const float a = turns[d + k], b = turns[E + d + k], l = float(low[k]), h = float(high[k]);
      low[k] = T(l * a - h * b);
      high[k] = T(h * a + l * b);
    }
    store(x + at, low);
    store(x + at + E, high);
  }
}

void turn(const char* name, const Tensor& x, const Tensor& positions, const Tensor& inverse_frequencies,
          int64_t rotated, float scaling, float sign, Stream& stream) {
  const int64_t T_ = x.dims[0], heads = x.dims[1], E = x.dims[2] / 2;
  dispatch_float(x.dtype, [&]<class T>() {
    dispatch_width<T>(E, {x.data}, [&]<int kSize>() {
      launch_kernel(name, rope_kernel<T, kSize>, {dim3(T_), kThreads, 2 * E * int64_t(sizeof(float))},
                    static_cast<CudaStream&>(stream), x.as<T>(), positions.as<int32_t>(),
                    inverse_frequencies.as<float>(), heads, rotated, E, scaling, sign);
    });
  });
}

}  // namespace

void run(const RopeForward& a, Stream& stream) {
  turn(a.kName, a.x, a.positions, a.inverse_frequencies, a.rotated, a.scaling, 1.0f, stream);
}

void run(const RopeBackward& a, Stream& stream) {
  turn(a.kName, a.dx, a.positions, a.inverse_frequencies, a.rotated, a.scaling, -1.0f, stream);
}

}  // namespace ww::cuda
