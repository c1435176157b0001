#include "native/cuda/attention_rows.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarp;
constexpr int kChannels = 8;  // a lane's share of a head of at most 256: channels lane + 32 i

struct Layout {
  int heads, key_heads, D;
  float scale;

  __device__ int64_t row() const { return int64_t(heads + 2 * key_heads) * D; }
  __device__ int group(int head) const { return head / (heads / key_heads); }
  __device__ int64_t query(int64_t t, int head) const { return t * row() + int64_t(head) * D; }
  __device__ int64_t key(int64_t t, int group) const { return t * row() + int64_t(heads + group) * D; }
  __device__ int64_t value(int64_t t, int group) const { return t * row() + int64_t(heads + key_heads + group) * D; }
  __device__ int64_t output(int64_t t, int head) const { return (t * heads + head) * D; }
};

__device__ __forceinline__ float dot(const float* a, const float* b, int D) {
  float sum = 0.0f;
  for (int d = 0; d < D; ++d) sum += a[d] * b[d];
  return sum;
}

// A row of a head's channels, spread over a warp.
struct Row {
  float channels[kChannels] = {};

  __device__ void scale(float factor) {
    for (float& channel : channels) channel *= factor;
  }
  // Adds sum_j weights[j] * rows[j] for `count` rows `stride` apart.
  __device__ void add(const float* weights, const float* rows, int64_t stride, int count, int D) {
    const int lane = threadIdx.x % kWarp;
    for (int j = 0; j < count; ++j) {
      const float weight = weights[j];
#pragma unroll
      for (int i = 0; i < kChannels; ++i) {
        if (lane + i * kWarp < D) channels[i] += weight * rows[j * stride + lane + i * kWarp];
      }
    }
  }
  __device__ void write(float* to, int D, float factor) const {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      if (lane + i * kWarp < D) to[lane + i * kWarp] = factor * channels[i];
    }
  }
};

// In all three each lane scores one of 32 keys (or queries), then the warp adds up their rows channel by channel.

// Warp (token, head).
__global__ void rows_forward_kernel(const float* qkv, float* y, float* lse, MaskArrays mask, Layout layout) {
  __shared__ float weights[kWarps][kWarp];
  const int64_t index = blockIdx.x * int64_t(kWarps) + threadIdx.x / kWarp;
  if (index >= int64_t(mask.T) * layout.heads) return;
  const int q = index / layout.heads, head = index % layout.heads, group = layout.group(head), D = layout.D;
  const int lane = threadIdx.x % kWarp;
  float* const own = weights[threadIdx.x / kWarp];
  const float* const query = qkv + layout.query(q, head);
  Row sum_of_values;
  float peak = -INFINITY, sum = 0.0f;
  for (int first = max(mask.sequence_start[q], 0); first <= q; first += kWarp) {
    const int k = first + lane;
    const bool seen = k <= q && sees(q, k, mask);
    const float score = seen ? layout.scale * dot(query, qkv + layout.key(k, group), D) : -INFINITY;
    const float higher = fmaxf(peak, warp_max(score)), base = higher == -INFINITY ? 0.0f : higher;
    const float shrink = expf(peak - base);
    own[lane] = expf(score - base);
    sum = sum * shrink + own[lane];
    sum_of_values.scale(shrink);
    __syncwarp();
    sum_of_values.add(own, qkv + layout.value(first, group), layout.row(), min(kWarp, q + 1 - first), D);
    __syncwarp();
    peak = higher;
  }
  sum = warp_sum(sum);
  sum_of_values.write(y + layout.output(q, head), D, 1.0f / sum);
  if (lane == 0) lse[int64_t(head) * mask.T + q] = peak + logf(sum);
}

// Warp (token, head): dq.
__global__ void rows_query_kernel(const float* dy, const float* qkv, const float* lse, const float* delta, float* dqkv,
                                  MaskArrays mask, Layout layout) {
  __shared__ float dscores[kWarps][kWarp];
  const int64_t index = blockIdx.x * int64_t(kWarps) + threadIdx.x / kWarp;
  if (index >= int64_t(mask.T) * layout.heads) return;
  const int q = index / layout.heads, head = index % layout.heads, group = layout.group(head), D = layout.D;
  const int64_t at = int64_t(head) * mask.T + q;
  float* const own = dscores[threadIdx.x / kWarp];
  const float *query = qkv + layout.query(q, head), *dout = dy + layout.output(q, head);
  Row dquery;
  for (int first = max(mask.sequence_start[q], 0); first <= q; first += kWarp) {
    const int k = first + threadIdx.x % kWarp;
    float dscore = 0.0f;
    if (k <= q && sees(q, k, mask)) {
      const float p = expf(layout.scale * dot(query, qkv + layout.key(k, group), D) - lse[at]);
      dscore = p * (dot(dout, qkv + layout.value(k, group), D) - delta[at]);
    }
    own[threadIdx.x % kWarp] = dscore;
    __syncwarp();
    dquery.add(own, qkv + layout.key(first, group), layout.row(), min(kWarp, q + 1 - first), D);
    __syncwarp();
  }
  dquery.write(dqkv + layout.query(q, head), D, layout.scale);
}

// Warp (token, key head): dk and dv, over the group's query heads and the queries in order.
__global__ void rows_key_kernel(const float* dy, const float* qkv, const float* lse, const float* delta, float* dqkv,
                                MaskArrays mask, Layout layout) {
  __shared__ float weights[kWarps][kWarp], dscores[kWarps][kWarp];
  const int64_t index = blockIdx.x * int64_t(kWarps) + threadIdx.x / kWarp;
  if (index >= int64_t(mask.T) * layout.key_heads) return;
  const int k = index / layout.key_heads, group = index % layout.key_heads, shared = layout.heads / layout.key_heads;
  const int lane = threadIdx.x % kWarp, D = layout.D, end = min(mask.visible_until[k], mask.T);
  float *own_weights = weights[threadIdx.x / kWarp], *own_dscores = dscores[threadIdx.x / kWarp];
  const float *key = qkv + layout.key(k, group), *value = qkv + layout.value(k, group);
  Row dkey, dvalue;
  for (int head = group * shared; head < (group + 1) * shared; ++head) {
    for (int first = k; first < end; first += kWarp) {
      const int q = first + lane;
      float p = 0.0f, dscore = 0.0f;
      if (q < end && sees(q, k, mask)) {
        const int64_t at = int64_t(head) * mask.T + q;
        p = expf(layout.scale * dot(qkv + layout.query(q, head), key, D) - lse[at]);
        dscore = p * (dot(dy + layout.output(q, head), value, D) - delta[at]);
      }
      own_weights[lane] = p;
      own_dscores[lane] = dscore;
      __syncwarp();
      const int count = min(kWarp, end - first);
      dvalue.add(own_weights, dy + layout.output(first, head), int64_t(layout.heads) * D, count, D);
      dkey.add(own_dscores, qkv + layout.query(first, head), layout.row(), count, D);
      __syncwarp();
    }
  }
  dkey.write(dqkv + layout.key(k, group), D, layout.scale);
  dvalue.write(dqkv + layout.value(k, group), D, 1.0f);
}

template <class Args>
Layout layout_of(const Args& a) {
  const int64_t H = a.y.dims[1];
  return {static_cast<int>(H), static_cast<int>((a.qkv.dims[1] - H) / 2), static_cast<int>(a.y.dims[2]), a.scale};
}

Grid grid_of(int64_t warps) { return {dim3(ceil_div(warps, kWarps)), kThreads}; }

}  // namespace

void attention_rows_forward(const FlashAttentionForward& a, CudaStream& stream) {
  const Layout layout = layout_of(a);
  launch_kernel(a.kName, rows_forward_kernel, grid_of(a.y.dims[0] * layout.heads), stream, a.qkv.as<float>(),
                a.y.as<float>(), a.lse.as<float>(), mask_arrays(a), layout);
}

void attention_rows_backward(const FlashAttentionBackward& a, const float* delta, CudaStream& stream) {
  const Layout layout = layout_of(a);
  const MaskArrays mask = mask_arrays(a);
  launch_kernel(a.kName, rows_query_kernel, grid_of(a.y.dims[0] * layout.heads), stream, a.dy.as<float>(),
                a.qkv.as<float>(), a.lse.as<float>(), delta, a.dqkv.as<float>(), mask, layout);
  launch_kernel(a.kName, rows_key_kernel, grid_of(a.y.dims[0] * layout.key_heads), stream, a.dy.as<float>(),
                a.qkv.as<float>(), a.lse.as<float>(), delta, a.dqkv.as<float>(), mask, layout);
}

}  // namespace ww::cuda
