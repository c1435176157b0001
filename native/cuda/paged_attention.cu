#include "native/cuda/paged_attention.cuh"

#include <numeric>

#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 128;

// Block: the `width` keys and as many values of a token, which follow `queries` in a row of qkv.
template <class T, int kSize>
__global__ void kv_cache_write_kernel(const T* qkv, const int32_t* slots, T* k_cache, T* v_cache, int64_t row,
                                      int64_t queries, int64_t width, int64_t bound) {
  const int64_t slot = slots[blockIdx.x];
  if (slot < 0 || slot >= bound) return;
  const T* const keys = qkv + blockIdx.x * row + queries;
  for (int64_t i = threadIdx.x * kSize; i < width; i += kThreads * kSize) {
    store(k_cache + slot * width + i, load<kSize>(keys + i));
    store(v_cache + slot * width + i, load<kSize>(keys + width + i));
  }
}

}  // namespace

void run(const KvCacheWrite& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t M = a.qkv.dims[1], D = a.qkv.dims[2], N = a.k_cache.dims[0], K = a.k_cache.dims[1];
  const int64_t row = M * D, width = K * D;
  check_indices(cuda, a.kName, "slots", a.slots, N);
  dispatch_float(a.qkv.dtype, [&]<class T>() {
    dispatch_width<T>(std::gcd(row, width), {a.qkv.data, a.k_cache.data, a.v_cache.data}, [&]<int kSize>() {
      launch_kernel(a.kName, kv_cache_write_kernel<T, kSize>, {dim3(a.slots.size()), kThreads}, cuda, a.qkv.as<T>(),
                    a.slots.as<int32_t>(), a.k_cache.as<T>(), a.v_cache.as<T>(), row, row - 2 * width, width, N);
    });
  });
}

void run(const PagedAttention& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  if (a.y.size() == 0) return;
  const PagedTokens tokens{a.pages.as<int32_t>(),
                           a.sequences.as<int32_t>(),
                           a.positions.as<int32_t>(),
                           a.qkv.dims[0],
                           a.pages.dims[0],
                           a.pages.dims[1],
                           a.k_cache.dims[0] / a.page_size,
                           a.page_size,
                           a.window};
  check_tokens(cuda, a.kName, tokens);
  if (a.qkv.dtype == DType::f32) return paged_attention_rows(a, tokens, cuda);
  paged_attention_tiles(a, tokens, cuda);
}

}  // namespace ww::cuda
