#include "native/kernels/token_log_probs.h"

#include <cfloat>

#include "native/cuda/kernel.cuh"
#include "native/cuda/matmul.h"
#include "native/kernels/cast.h"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kTileRows = 128;         // of matrix products: a chunk is a multiple, except for the last
constexpr int kThreads = 512;          // of a row of logits
constexpr int kPacksInFlight = 4;      // 16-byte loads of a thread that wait together
constexpr int kMostPanelRows = 2048;   // of a panel of gradients; its rows' indices fit a block's shared memory
constexpr int kMostCachedRows = 1024;  // of a chunk that stays in the L2 cache
constexpr int64_t kMiB = int64_t(1) << 20;
constexpr int64_t kForwardLogitsBytes = 256 * kMiB, kBackwardLogitsBytes = 128 * kMiB;
constexpr int64_t kGatheredBytes = 64 * kMiB, kGradientBytes = 256 * kMiB;
constexpr float kLowest = -FLT_MAX;

int64_t whole_tiles(int64_t rows) { return std::max<int64_t>(rows / kTileRows, 1) * kTileRows; }

// `count` rows in pieces of about the same length, whole tiles each and at most `most` rows.
int64_t piece_rows(int64_t count, int64_t most) {
  return std::min(most, round_up(ceil_div(count, ceil_div(count, most)), kTileRows));
}

// Rows of logits that are multiplied at a time. A chunk that stays in the L2 cache until it is read saves V floats a
// row written and read, 8 V bytes, but reads the weight again, C sizeof(T) V / rows bytes a row. So small models take
// chunks of two thirds of the cache (256 rows for V = 32000 in 50 MB), others what `bytes` hold.
int64_t most_chunk_rows(int64_t V, int64_t C, int64_t element_bytes, int64_t bytes, const DeviceLimits& limits) {
  const int64_t row_bytes = round_up(V, 8) * sizeof(float);
  const int64_t cached = std::min<int64_t>(whole_tiles(limits.l2_bytes * 2 / 3 / row_bytes), kMostCachedRows);
  if (cached * row_bytes <= limits.l2_bytes && C * element_bytes < 8 * cached) return cached;
  return std::min<int64_t>(whole_tiles(bytes / row_bytes), kMostPanelRows);
}

// Where arrays lie in one block of scratch, one after the other.
class Layout {
 public:
  int64_t add(int64_t bytes) {
    const int64_t begin = bytes_;
    bytes_ += round_up(bytes, 256);
    return begin;
  }
  int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_ = 0;
};

void clear(const Tensor& tensor, const char* kernel, CudaStream& stream) {
  stream.begin(kernel);
  check(cudaMemsetAsync(tensor.data, 0, tensor.bytes(), stream.handle()), kernel);
}

template <class Args>
void check_pairs(const Args& a, CudaStream& stream) {
  check_indices(stream, a.kName, "rows", a.rows, a.hidden.dims[0]);
  check_indices(stream, a.kName, "labels", a.labels, a.weight.dims[0]);
}

__device__ __forceinline__ int clamped(int32_t index, int64_t bound) {
  return index < 0 ? 0 : index < bound ? index : static_cast<int>(bound - 1);
}

// x[n] = hidden[rows[n]]
template <class T, int kSize>
__global__ void gather_kernel(const T* hidden, const int32_t* rows, T* x, unsigned count, unsigned packs,
                              int64_t tokens) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const unsigned n = i / packs, pack = i % packs;
  const int64_t from = clamped(rows[n], tokens) * int64_t(packs) + pack;
  store(x + int64_t(i) * kSize, load<kSize>(hidden + from * kSize));
}

// What a part of a row adds up to, relative to its largest logit: its digits do not depend on how large the logits are.
struct RowSums {
  float top = kLowest;     // the largest logit
  float before = kLowest;  // the largest before the label
  float exps = 0;          // sum of exp(z - top)
  float weighted = 0;      // sum of exp(z - top) (z - top)
  float sum = 0;           // sum of z

  __device__ __forceinline__ void move_top(float to) {
    const float below = top - to, factor = __expf(below);
    weighted = factor * (weighted + exps * below);
    exps *= factor;
    top = to;
  }

  __device__ __forceinline__ void add(float z) {
    const float below = z - top, e = __expf(below);
    exps += e;
    weighted += e * below;
    sum += z;
  }

  __device__ __forceinline__ void add(RowSums other) {
    const float to = fmaxf(top, other.top);
    move_top(to);
    other.move_top(to);
    before = fmaxf(before, other.before);
    exps += other.exps;
    weighted += other.weighted;
    sum += other.sum;
  }

  __device__ __forceinline__ RowSums from_lane(int mask) const {
    RowSums other;
    other.top = __shfl_xor_sync(kAllLanes, top, mask);
    other.before = __shfl_xor_sync(kAllLanes, before, mask);
    other.exps = __shfl_xor_sync(kAllLanes, exps, mask);
    other.weighted = __shfl_xor_sync(kAllLanes, weighted, mask);
    other.sum = __shfl_xor_sync(kAllLanes, sum, mask);
    return other;
  }
};

// Of kCount packs, of which pack i begins with element first[i].
template <int kCount, int kSize>
__device__ __forceinline__ void add_packs(RowSums& sums, const Pack<float, kSize> (&packs)[kCount], int first, int step,
                                          int label) {
  float largest = kLowest;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const Pack<float, kSize>& z = packs[i];
    float top = z[0];
#pragma unroll
    for (int j = 1; j < kSize; ++j) top = fmaxf(top, z[j]);
    largest = fmaxf(largest, top);
    const int v = first + i * step;
    if (v + kSize <= label) {
      sums.before = fmaxf(sums.before, top);
    } else if (v < label) {
#pragma unroll
      for (int j = 0; j < kSize - 1; ++j) {
        if (v + j < label) sums.before = fmaxf(sums.before, z[j]);
      }
    }
  }
  if (largest > sums.top) sums.move_top(largest);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
#pragma unroll
    for (int j = 0; j < kSize; ++j) sums.add(packs[i][j]);
  }
}

struct RowResults {
  float *log_probs, *lse, *entropy, *correct, *mean_logit;
};

// One block for each row of logits, which it reads once.
template <int kSize>
__global__ void __launch_bounds__(kThreads)
    softmax_kernel(const float* z_chunk, int64_t stride, const int32_t* labels, int V, RowResults results) {
  const float* z = z_chunk + blockIdx.x * stride;
  const int label = clamped(labels[blockIdx.x], V);
  constexpr int kStep = kSize * kThreads;
  RowSums sums;
  int v = kSize * threadIdx.x;
  for (; v + (kPacksInFlight - 1) * kStep + kSize <= V; v += kPacksInFlight * kStep) {
    Pack<float, kSize> packs[kPacksInFlight];
#pragma unroll
    for (int i = 0; i < kPacksInFlight; ++i) packs[i] = load<kSize>(z + v + i * kStep);
    add_packs(sums, packs, v, kStep, label);
  }
  for (; v + kSize <= V; v += kStep) {
    const Pack<float, kSize> packs[1] = {load<kSize>(z + v)};
    add_packs(sums, packs, v, kStep, label);
  }
  for (; v < V; ++v) {  // only one thread's pack is cut by the end of the row
    if (z[v] > sums.top) sums.move_top(z[v]);
    if (v < label) sums.before = fmaxf(sums.before, z[v]);
    sums.add(z[v]);
  }

  constexpr int kWarps = kThreads / kWarp;
  __shared__ float warp_sums[5][kWarps];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (int mask = kWarp / 2; mask > 0; mask /= 2) sums.add(sums.from_lane(mask));
  if (lane == 0) {
    warp_sums[0][warp] = sums.top;
    warp_sums[1][warp] = sums.before;
    warp_sums[2][warp] = sums.exps;
    warp_sums[3][warp] = sums.weighted;
    warp_sums[4][warp] = sums.sum;
  }
  __syncthreads();
  if (warp > 0) return;
  const int from = lane % kWarps;
  sums = {warp_sums[0][from], warp_sums[1][from], warp_sums[2][from], warp_sums[3][from], warp_sums[4][from]};
  for (int mask = kWarps / 2; mask > 0; mask /= 2) sums.add(sums.from_lane(mask));
  if (lane > 0) return;

  const float of_label = z[label], log_exps = logf(sums.exps);
  const int n = blockIdx.x;
  results.log_probs[n] = of_label - sums.top - log_exps;
  results.lse[n] = sums.top + log_exps;
  results.entropy[n] = log_exps - sums.weighted / sums.exps;
  results.correct[n] = of_label == sums.top && sums.before < of_label ? 1.0f : 0.0f;
  results.mean_logit[n] = sums.sum / static_cast<float>(V);
}

// dz[v] = dlog_prob ((v = label) - exp(z[v] - lse)). One block for each row. kLogits: read at a time.
template <class T, int kLogits>
__global__ void __launch_bounds__(kThreads)
    gradient_kernel(const float* z_chunk, int64_t z_stride, const int32_t* labels, const float* lses,
                    const float* dlog_probs, T* dz_chunk, int64_t dz_stride, int V) {
  constexpr int kSize = 16 / sizeof(T);
  const int n = blockIdx.x, label = clamped(labels[n], V);
  const float* z = z_chunk + n * z_stride;
  T* dz = dz_chunk + n * dz_stride;
  const float lse = lses[n], dlog_prob = dlog_probs[n];
  if (dlog_prob == 0.0f) {
    const Pack<T, kSize> zeros{};
    for (int v = kSize * threadIdx.x; v < V; v += kSize * kThreads) store(dz + v, zeros);
    return;
  }
  // Rows are padded to whole packs: what is computed behind V is not read.
#pragma unroll 2
  for (int v = kSize * threadIdx.x; v < V; v += kSize * kThreads) {
    Pack<T, kSize> gradient;
#pragma unroll
    for (int i = 0; i < kSize; i += kLogits) {
      const Pack<float, kLogits> logits = load<kLogits>(z + v + i);
#pragma unroll
      for (int j = 0; j < kLogits; ++j) gradient[i + j] = T(-dlog_prob * __expf(logits[j] - lse));
    }
    if (v <= label && label < v + kSize) {
      const T of_label(-dlog_prob * expm1f(z[label] - lse));
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        if (v + i == label) gradient[i] = of_label;
      }
    }
    store(dz + v, gradient);
  }
}

// dhidden[t] += sum of dx[n] over the pairs of a panel with rows[n] = t, in their order. One block for each pair: the
// first one of a token adds up all of them.
template <class To, int kSize>
__global__ void scatter_kernel(const float* dx, const int32_t* rows, int count, int64_t C, To* dhidden,
                               int64_t tokens) {
  __shared__ int followers[kMostPanelRows];
  __shared__ int num_followers;
  const int n = blockIdx.x, row = rows[n];
  int before = 0, behind = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    if (rows[i] == row) ++(i < n ? before : behind);
  }
  if (block_sum(static_cast<float>(before)) > 0) return;
  const bool alone = block_sum(static_cast<float>(behind)) == 1;
  if (!alone && threadIdx.x < kWarp) {
    int found = 0;
    for (int begin = n + 1; begin < count; begin += kWarp) {
      const int i = begin + threadIdx.x;
      const bool same = i < count && rows[i] == row;
      const unsigned votes = __ballot_sync(kAllLanes, same);
      if (same) followers[found + __popc(votes & ((1u << threadIdx.x) - 1))] = i;
      found += __popc(votes);
    }
    if (threadIdx.x == 0) num_followers = found;
  }
  __syncthreads();
  const int num = alone ? 0 : num_followers;
  To* to = dhidden + clamped(row, tokens) * C;
  for (int64_t c = int64_t(kSize) * threadIdx.x; c < C; c += kSize * int64_t(blockDim.x)) {
    Pack<float, kSize> sum = load<kSize>(dx + n * C + c);
    for (int k = 0; k < num; ++k) {
      const Pack<float, kSize> next = load<kSize>(dx + followers[k] * C + c);
#pragma unroll
      for (int i = 0; i < kSize; ++i) sum[i] += next[i];
    }
    Pack<To, kSize> total = load<kSize>(to + c);
#pragma unroll
    for (int i = 0; i < kSize; ++i) total[i] = To(float(total[i]) + sum[i]);
    store(to + c, total);
  }
}

// hidden and weight, and the pairs' hidden rows a panel at a time.
template <class T>
struct Head {
  const char* kernel;
  CudaStream& stream;
  const T *hidden, *weight;
  const int32_t *rows, *labels;
  int64_t tokens, C, V, N;
  int64_t stride;  // of logits and gradients that are not kept: rows begin on 16 bytes at least

  template <class Args>
  Head(const Args& a, CudaStream& stream)
      : kernel(Args::kName),
        stream(stream),
        hidden(a.hidden.template as<const T>()),
        weight(a.weight.template as<const T>()),
        rows(a.rows.template as<const int32_t>()),
        labels(a.labels.template as<const int32_t>()),
        tokens(a.hidden.dims[0]),
        C(a.hidden.dims[1]),
        V(a.weight.dims[0]),
        N(a.rows.dims[0]),
        stride(round_up(V, 8)) {}

  static constexpr DType kType = sizeof(T) == 2 ? DType::bf16 : DType::f32;

  int64_t most_chunk(int64_t bytes) const { return most_chunk_rows(V, C, sizeof(T), bytes, stream.limits()); }

  // x[i] = hidden[rows[first + i]] for i < count
  void gather(int64_t first, int64_t count, T* x) const {
    dispatch_width<T>(C, {hidden}, [&]<int kSize>() {
      constexpr int kBlock = 256;
      const int64_t packs = count * C / kSize;
      const Grid grid{dim3(static_cast<unsigned>(ceil_div(packs, kBlock))), kBlock};
      launch_kernel(kernel, gather_kernel<T, kSize>, grid, stream, hidden, rows + first, x,
                    static_cast<unsigned>(packs), static_cast<unsigned>(C / kSize), tokens);
    });
  }

  void logits(const T* x, int64_t count, float* z, int64_t z_stride) const {
    matmul(kernel, {count, V, C, kType, {x, C}, {weight, C, true}, DType::f32, z, z_stride}, stream);
  }
  void hidden_gradient(const T* dz, int64_t count, float* dx) const {
    matmul(kernel, {count, C, V, kType, {dz, stride}, {weight, C}, DType::f32, dx, C}, stream);
  }
  void weight_gradient(const T* dz, const T* x, int64_t count, float* dweight) const {
    matmul(kernel, {V, C, count, kType, {dz, stride, true}, {x, C}, DType::f32, dweight, C, true}, stream);
  }
};

template <class T>
void forward(const TokenLogProbsForward& a, CudaStream& stream) {
  const Head<T> head(a, stream);
  const int64_t N = head.N, C = head.C;
  const int64_t panel_rows = piece_rows(N, whole_tiles(kGatheredBytes / (C * int64_t(sizeof(T)))));
  const int64_t chunk_rows = piece_rows(panel_rows, head.most_chunk(kForwardLogitsBytes));
  const bool keeps = a.logits.dims[0] > 0;
  const int64_t stride = keeps ? a.logits.dims[1] : head.stride;
  Layout layout;
  const int64_t x_at = layout.add(std::min(panel_rows, N) * C * int64_t(sizeof(T)));
  const int64_t z_at = layout.add(keeps ? 0 : std::min(chunk_rows, N) * stride * int64_t(sizeof(float)));
  char* const memory = static_cast<char*>(stream.scratch(layout.bytes()));
  T* const x = reinterpret_cast<T*>(memory + x_at);

  for (int64_t panel = 0; panel < N; panel += panel_rows) {
    const int64_t panel_end = std::min(panel + panel_rows, N);
    head.gather(panel, panel_end - panel, x);
    for (int64_t first = panel; first < panel_end; first += chunk_rows) {
      const int64_t count = std::min(chunk_rows, panel_end - first);
      float* const z = keeps ? a.logits.as<float>() + first * stride : reinterpret_cast<float*>(memory + z_at);
      head.logits(x + (first - panel) * C, count, z, stride);
      const RowResults results{a.log_probs.as<float>() + first, a.lse.as<float>() + first,
                               a.entropy.as<float>() + first, a.correct.as<float>() + first,
                               a.mean_logit.as<float>() + first};
      dispatch_width<float>(stride, {z}, [&]<int kSize>() {
        launch_kernel(a.kName, softmax_kernel<kSize>, {dim3(static_cast<unsigned>(count)), kThreads}, stream, z, stride,
                      head.labels + first, static_cast<int>(head.V), results);
      });
    }
  }
}

// The products with dz take a panel of rows: the weight and its gradient pass through memory once for each. Logits and
// what becomes of them take chunks of it, which may stay in the cache.
template <class T>
void backward(const TokenLogProbsBackward& a, CudaStream& stream) {
  const Head<T> head(a, stream);
  const int64_t N = head.N, C = head.C, size = a.dhidden.size();
  const int64_t row_bytes = head.stride * int64_t(sizeof(T));
  const int64_t panel_rows = piece_rows(N, std::min<int64_t>(whole_tiles(kGradientBytes / row_bytes), kMostPanelRows));
  const int64_t chunk_rows = piece_rows(panel_rows, head.most_chunk(kBackwardLogitsBytes));
  // The gradients of a token in several panels are summed before they are rounded.
  const bool sums_elsewhere = sizeof(T) < sizeof(float) && N > panel_rows;
  const int64_t rows = std::min(panel_rows, N);
  const bool kept = a.logits.dims[0] > 0;
  const int64_t z_stride = kept ? a.logits.dims[1] : head.stride;
  Layout layout;
  const int64_t x_at = layout.add(rows * C * int64_t(sizeof(T)));
  const int64_t z_at = layout.add(kept ? 0 : std::min(chunk_rows, N) * z_stride * int64_t(sizeof(float)));
  const int64_t dz_at = layout.add(rows * row_bytes);
  const int64_t dx_at = layout.add(rows * C * int64_t(sizeof(float)));
  const int64_t sums_at = layout.add(sums_elsewhere ? size * int64_t(sizeof(float)) : 0);
  char* const memory = static_cast<char*>(stream.scratch(layout.bytes()));
  T* const x = reinterpret_cast<T*>(memory + x_at);
  T* const dz = reinterpret_cast<T*>(memory + dz_at);
  float* const dx = reinterpret_cast<float*>(memory + dx_at);
  Tensor sums{memory + sums_at, DType::f32, DeviceKind::cuda, 1, {size}};
  if (sums_elsewhere) clear(sums, a.kName, stream);

  for (int64_t panel = 0; panel < N; panel += panel_rows) {
    const int64_t panel_end = std::min(panel + panel_rows, N), panel_count = panel_end - panel;
    head.gather(panel, panel_count, x);
    for (int64_t first = panel; first < panel_end; first += chunk_rows) {
      const int64_t count = std::min(chunk_rows, panel_end - first);
      float* const z = kept ? a.logits.as<float>() + first * z_stride : reinterpret_cast<float*>(memory + z_at);
      if (!kept) head.logits(x + (first - panel) * C, count, z, z_stride);
      dispatch_width<float>(z_stride, {z}, [&]<int kSize>() {
        launch_kernel(a.kName, gradient_kernel<T, kSize>, {dim3(static_cast<unsigned>(count)), kThreads}, stream, z,
                      z_stride, head.labels + first, a.lse.as<float>() + first, a.dlog_probs.as<float>() + first,
                      dz + (first - panel) * head.stride, head.stride, static_cast<int>(head.V));
      });
    }
    head.hidden_gradient(dz, panel_count, dx);
    const auto scatter = [&]<class To>(To* dhidden) {
      dispatch_width<float>(C, {dhidden}, [&]<int kSize>() {
        launch_kernel(a.kName, scatter_kernel<To, kSize>, {dim3(static_cast<unsigned>(panel_count)), 128}, stream, dx,
                      head.rows + panel, static_cast<int>(panel_count), C, dhidden, head.tokens);
      });
    };
    if (sums_elsewhere) {
      scatter(sums.as<float>());
    } else {
      scatter(a.dhidden.as<T>());
    }
    head.weight_gradient(dz, x, panel_count, a.dweight.as<float>());
  }
  if (!sums_elsewhere) return;
  Tensor dhidden = a.dhidden;
  dhidden.rank = 1;
  dhidden.dims[0] = size;
  run(Cast{sums, dhidden}, stream);
}

}  // namespace

void run(const TokenLogProbsForward& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  check_pairs(a, cuda);
  if (a.rows.size() == 0) return;
  dispatch_float(a.hidden.dtype, [&]<class T>() { forward<T>(a, cuda); });
}

void run(const TokenLogProbsBackward& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  check_pairs(a, cuda);
  clear(a.dhidden, a.kName, cuda);
  if (a.rows.size() == 0) return;
  dispatch_float(a.hidden.dtype, [&]<class T>() { backward<T>(a, cuda); });
}

}  // namespace ww::cuda
