#include "native/cuda/ptx.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarp;
constexpr int kLaneChannels = 8;  // of a head of at most 256 channels: channel lane + 32 i

// One block a token.
template <class T>
__global__ void kv_cache_write_kernel(const T* qkv, const int32_t* slots, T* k_cache, T* v_cache, int64_t row,
                                      int64_t queries, int64_t width, int64_t bound) {
  const int64_t slot = slots[blockIdx.x];
  if (slot < 0 || slot >= bound) return;
  const T* const keys = qkv + blockIdx.x * row + queries;
  for (int64_t i = threadIdx.x; i < width; i += kThreads) {
    k_cache[slot * width + i] = keys[i];
    v_cache[slot * width + i] = keys[width + i];
  }
}

// Block (sequence, head): each warp takes every fourth key with a running softmax of its own; the four are joined.
template <class T>
__global__ void cached_attention_kernel(const T* qkv, const T* k_cache, const T* v_cache, const int32_t* begins,
                                        const int32_t* lengths, T* y, int heads, int key_heads, int D, float scale,
                                        int64_t window, int64_t bound) {
  __shared__ float joined[kWarps][kLaneChannels * kWarp], peaks[kWarps], sums[kWarps];
  const int64_t b = blockIdx.x / heads;
  const int head = blockIdx.x % heads, group = head / (heads / key_heads);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t begin = begins[b], length = min(int64_t(lengths[b]), bound - begin);
  const T* const q = qkv + (b * (heads + 2 * key_heads) + head) * D;

  float query[kLaneChannels], acc[kLaneChannels] = {}, peak = -INFINITY, sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kLaneChannels; ++i) query[i] = lane + i * kWarp < D ? scale * float(q[lane + i * kWarp]) : 0.0f;
  const int64_t first = window > 0 ? max(int64_t(0), length - window) : 0;
  for (int64_t j = first + warp; j < length; j += kWarps) {
    const int64_t at = ((begin + j) * key_heads + group) * D;
    float score = 0.0f;
#pragma unroll
    for (int i = 0; i < kLaneChannels; ++i) {
      if (lane + i * kWarp < D) score += query[i] * float(k_cache[at + lane + i * kWarp]);
    }
    score = warp_sum(score);
    const float higher = fmaxf(peak, score), shrink = expf(peak - higher), weight = expf(score - higher);
    peak = higher;
    sum = sum * shrink + weight;
#pragma unroll
    for (int i = 0; i < kLaneChannels; ++i) {
      if (lane + i * kWarp < D) acc[i] = acc[i] * shrink + weight * float(v_cache[at + lane + i * kWarp]);
    }
  }

#pragma unroll
  for (int i = 0; i < kLaneChannels; ++i) joined[warp][lane + i * kWarp] = acc[i];
  if (lane == 0) peaks[warp] = peak, sums[warp] = sum;
  __syncthreads();
  float top = peaks[0], total = 0.0f;
  for (int w = 1; w < kWarps; ++w) top = fmaxf(top, peaks[w]);
  for (int w = 0; w < kWarps; ++w) total += sums[w] == 0.0f ? 0.0f : sums[w] * expf(peaks[w] - top);
  for (int d = threadIdx.x; d < D; d += kThreads) {
    float value = 0.0f;
    for (int w = 0; w < kWarps; ++w) value += sums[w] == 0.0f ? 0.0f : joined[w][d] * expf(peaks[w] - top);
    y[(b * heads + head) * D + d] = T(value / total);
  }
}

}  // namespace

void run(const KvCacheWrite& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t M = a.qkv.dims[1], D = a.qkv.dims[2], N = a.k_cache.dims[0], K = a.k_cache.dims[1];
  check_indices(cuda, a.kName, "slots", a.slots, N);
  dispatch_float(a.qkv.dtype, [&]<class T>() {
    launch_kernel(a.kName, kv_cache_write_kernel<T>, {dim3(a.slots.size()), kThreads}, cuda, a.qkv.as<T>(),
                  a.slots.as<int32_t>(), a.k_cache.as<T>(), a.v_cache.as<T>(), M * D, (M - 2 * K) * D, K * D, N);
  });
}

void run(const CachedAttention& a, Stream& stream) {
  const int64_t B = a.y.dims[0], H = a.y.dims[1], D = a.y.dims[2], N = a.k_cache.dims[0], K = a.k_cache.dims[1];
  if (D > kLaneChannels * kWarp) {
    throw Error(ErrorCode::shape, std::string(a.kName) + ": head size " + std::to_string(D) + ", expected at most " +
                                      std::to_string(kLaneChannels * kWarp));
  }
  dispatch_float(a.qkv.dtype, [&]<class T>() {
    launch_kernel(a.kName, cached_attention_kernel<T>, {dim3(B * H), kThreads}, static_cast<CudaStream&>(stream),
                  a.qkv.as<T>(), a.k_cache.as<T>(), a.v_cache.as<T>(), a.begins.as<int32_t>(), a.lengths.as<int32_t>(),
                  a.y.as<T>(), H, K, D, a.scale, a.window, N);
  });
}

}  // namespace ww::cuda
