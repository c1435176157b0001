#include <algorithm>

#include "native/cuda/kernel.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kForwardThreads = 128, kThreads = 256;
constexpr int kPacks = 2;  // of a row that a thread of backward sums in registers

// One block a token.
template <class T, int kSize>
__global__ void embedding_forward_kernel(const int32_t* tokens, const T* weight, T* y, int64_t V, int64_t C) {
  const int64_t token = min(max(int64_t(tokens[blockIdx.x]), int64_t(0)), V - 1);
  weight += token * C;
  y += blockIdx.x * C;
  for (int64_t c = threadIdx.x * kSize; c < C; c += kForwardThreads * kSize) {
    store(y + c, load<kSize>(weight + c));
  }
}

// Block (t, span of columns): the first token of an id adds up all tokens of that id, in their order; the others leave.
template <class T, int kSize>
__global__ void embedding_backward_kernel(const int32_t* tokens, const T* dy, float* dweight, int64_t count, int64_t V,
                                          int64_t C, int64_t spans) {
  __shared__ int warp_counts[kThreads / kWarp], found[kThreads];
  const int64_t t = blockIdx.x / spans, first_column = (blockIdx.x % spans) * kThreads * kPacks * kSize;
  const int token = tokens[t], lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  if (token < 0 || token >= V) return;
  for (int64_t from = 0; from < t; from += kThreads) {
    const int64_t other = from + threadIdx.x;
    if (__syncthreads_or(other < t && tokens[other] == token)) return;
  }

  float sums[kPacks][kSize] = {};
  for (int64_t from = t; from < count; from += kThreads) {
    const int64_t other = from + threadIdx.x;
    const bool same = other < count && tokens[other] == token;
    const unsigned votes = __ballot_sync(kAllLanes, same);
    if (lane == 0) warp_counts[warp] = __popc(votes);
    __syncthreads();
    int before = __popc(votes & ((1u << lane) - 1)), total = 0;
    for (int w = 0; w < kThreads / kWarp; ++w) {
      if (w < warp) before += warp_counts[w];
      total += warp_counts[w];
    }
    if (same) found[before] = threadIdx.x;
    __syncthreads();
#pragma unroll 4
    for (int i = 0; i < total; ++i) {
      const T* const row = dy + (from + found[i]) * C;
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        const int64_t c = first_column + (p * kThreads + threadIdx.x) * kSize;
        if (c >= C) continue;
        const Pack<T, kSize> values = load<kSize>(row + c);
        for (int k = 0; k < kSize; ++k) sums[p][k] += float(values[k]);
      }
    }
    __syncthreads();
  }

  dweight += token * C;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t c = first_column + (p * kThreads + threadIdx.x) * kSize;
    if (c >= C) continue;
    for (int k = 0; k < kSize; ++k) dweight[c + k] += sums[p][k];
  }
}

}  // namespace

void run(const EmbeddingForward& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t V = a.weight.dims[0], C = a.weight.dims[1];
  check_indices(cuda, a.kName, "tokens", a.tokens, V);
  if (V == 0) return;
  dispatch_float(a.y.dtype, [&]<class T>() {
    dispatch_width<T>(C, {a.weight.data, a.y.data}, [&]<int kSize>() {
      launch_kernel(a.kName, embedding_forward_kernel<T, kSize>, {dim3(a.tokens.size()), kForwardThreads}, cuda,
                    a.tokens.as<int32_t>(), a.weight.as<T>(), a.y.as<T>(), V, C);
    });
  });
}

void run(const EmbeddingBackward& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t V = a.dweight.dims[0], C = a.dweight.dims[1], count = a.tokens.size();
  check_indices(cuda, a.kName, "tokens", a.tokens, V);
  dispatch_float(a.dy.dtype, [&]<class T>() {
    dispatch_width<T>(C, {a.dy.data}, [&]<int kSize>() {
      const int64_t spans = ceil_div(C, kThreads * kPacks * kSize);
      launch_kernel(a.kName, embedding_backward_kernel<T, kSize>, {dim3(count * spans), kThreads}, cuda,
                    a.tokens.as<int32_t>(), a.dy.as<T>(), a.dweight.as<float>(), count, V, C, spans);
    });
  });
}

}  // namespace ww::cuda
