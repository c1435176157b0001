#include "native/kernels/cached_attention.h"

#include "native/cpu/attention_tiles.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kTokensPerTask = 16;

// scores[j] = q . keys[j] for `count` keys `stride` apart, -inf for the lanes after the last. Returns the largest.
template <class T>
float score_keys(const float* q, const T* keys, int64_t stride, int64_t count, int64_t D, float* scores) {
  IntVec lane{};
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  Vec top = splat(-__builtin_inff());
  for (int64_t j = 0; j < count; j += kLanes) {
    const int64_t n = min(kLanes, count - j);
    Vec sums[kLanes] = {};
    for (int64_t i = 0; i < n; ++i) {
      const T* key = keys + (j + i) * stride;  // a free slot may hold NaN: no lane beyond D is read
      for (int64_t d = 0; d < D; d += kLanes) sums[i] += load(q + d) * load_channels(key + d, D - d);
    }
    Vec score = sum_each(sums);
    score = lane < static_cast<int32_t>(n) ? score : splat(-__builtin_inff());
    store(scores + j, score);
    top = max(top, score);
  }
  return largest(top);
}

// y[d] = sum_j p[j] * values[j, d], in four sums so that one addition need not wait for the one before.
template <class T>
void sum_values(const float* p, const T* values, int64_t stride, int64_t count, int64_t D, const T* end, float factor,
                T* y) {
  for (int64_t d = 0; d < D; d += kLanes) {
    Vec sums[4] = {};
    for (int64_t j = 0; j < count; j += 4) {
      for (int64_t i = 0; i < min(4, count - j); ++i) {
        sums[i] += p[j + i] * load_some(values + (j + i) * stride + d, D - d, end);
      }
    }
    store_channels(y + d, ((sums[0] + sums[1]) + (sums[2] + sums[3])) * factor, D - d);
  }
}

template <class T>
void attend(const CachedAttention& a, int64_t b, int64_t g, float* q, float* scores) {
  const int64_t M = a.qkv.dims[1], D = a.qkv.dims[2], H = a.y.dims[1], N = a.k_cache.dims[0], K = a.k_cache.dims[1];
  const int64_t length = a.lengths.as<int32_t>()[b], count = a.window > 0 ? min(length, a.window) : length;
  const int64_t first = (a.begins.as<int32_t>()[b] + length - count) * K + g;
  const T *keys = a.k_cache.as<const T>() + first * D, *values = a.v_cache.as<const T>() + first * D;
  for (int64_t h = g * (H / K); h < (g + 1) * (H / K); ++h) {
    const T* query = a.qkv.as<const T>() + (b * M + h) * D;
    for (int64_t d = 0; d < D; d += kLanes) store(q + d, load_channels(query + d, D - d) * (a.scale * kLog2E));
    const float top = score_keys(q, keys, K * D, count, D, scores);
    Vec total = zero();
    for (int64_t j = 0; j < count; j += kLanes) {
      const Vec p = exp2(load(scores + j) - top);
      store(scores + j, p);
      total += p;
    }
    const float factor = count > 0 ? 1.0f / sum(total) : 0.0f;
    sum_values(scores, values, K * D, count, D, a.v_cache.as<const T>() + N * K * D, factor,
               a.y.as<T>() + (b * H + h) * D);
  }
}

}  // namespace

void compute(const KvCacheWrite& a, Workers& workers) {
  const int64_t T = a.qkv.dims[0], M = a.qkv.dims[1], D = a.qkv.dims[2], N = a.k_cache.dims[0], K = a.k_cache.dims[1];
  check_indices("slots", a.slots, N);
  const int64_t head_bytes = D * dtype_bytes(a.qkv.dtype);
  const char* qkv = a.qkv.as<const char>();
  for_each_row(workers, T, kTokensPerTask, [&](int64_t t, int) {
    const char* keys = qkv + (t * M + M - 2 * K) * head_bytes;
    const int64_t slot = a.slots.as<int32_t>()[t] * K * head_bytes;
    __builtin_memcpy(a.k_cache.as<char>() + slot, keys, K * head_bytes);
    __builtin_memcpy(a.v_cache.as<char>() + slot, keys + K * head_bytes, K * head_bytes);
  });
}

void compute(const CachedAttention& a, Workers& workers) {
  const int64_t B = a.qkv.dims[0], D = a.qkv.dims[2], N = a.k_cache.dims[0], K = a.k_cache.dims[1];
  const int32_t *begins = a.begins.as<int32_t>(), *lengths = a.lengths.as<int32_t>();
  check_indices("begins", a.begins, N);
  check_indices("lengths", a.lengths, N + 1);
  Tensor last = a.lengths;
  last.data = workers.shared_scratch(B * sizeof(int32_t));
  int64_t longest = 0;
  for (int64_t b = 0; b < B; ++b) {
    last.as<int32_t>()[b] = begins[b] + max(lengths[b], 1) - 1;
    longest = max(longest, lengths[b]);
  }
  check_indices("begins + lengths - 1", last, N);

  const int64_t query_size = round_up(D, kLanes), bytes = (query_size + round_up(longest, kLanes)) * sizeof(float);
  for (int thread = 0; thread < workers.threads(); ++thread) workers.scratch(thread, bytes);
  dispatch_float(a.qkv.dtype, [&]<class T>() {
    workers.parallel_for(B * K, [&](int64_t task, int thread) {
      float* q = static_cast<float*>(workers.scratch(thread, bytes));
      attend<T>(a, task / K, task % K, q, q + query_size);
    });
  });
}

}  // namespace ww::cpu::WW_ISA
