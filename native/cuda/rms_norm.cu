#include <algorithm>

#include "native/cuda/column_sums.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

// Packs of a row that a thread keeps in registers between the two passes over it; longer rows are read again.
constexpr int kForwardKept = 4, kBackwardKept = 2;
constexpr int kMostThreads = 512;  // backward takes up to 128 registers of each: no more fit on a multiprocessor
constexpr int kMostBlocks = 8;     // of backward on a multiprocessor: each costs a partial dweight

int threads_for(int64_t packs, int kept) {
  return static_cast<int>(std::clamp<int64_t>(round_up(ceil_div(packs, kept), kWarp), kWarp, kMostThreads));
}

// One block a row. An update, where there is one, is added to x first and the sum written.
template <bool kUpdate, class T, int kSize>
__global__ void rms_norm_forward_kernel(const T* x, const T* update, const T* weight, T* sum, T* y, float* rstd,
                                        int64_t C, float eps) {
  const int64_t row = blockIdx.x * C, packs = C / kSize;
  const auto read = [&](int64_t p) {
    Pack<T, kSize> xs = load<kSize>(x + row + p * kSize);
    if constexpr (kUpdate) {
      const Pack<T, kSize> updates = load<kSize>(update + row + p * kSize);
      for (int k = 0; k < kSize; ++k) xs[k] = T(float(xs[k]) + float(updates[k]));
      store(sum + row + p * kSize, xs);
    }
    return xs;
  };

  Pack<T, kSize> kept[kForwardKept] = {};
  float squares = 0.0f;
#pragma unroll
  for (int i = 0; i < kForwardKept; ++i) {
    const int64_t p = threadIdx.x + int64_t(i) * blockDim.x;
    if (p < packs) kept[i] = read(p);
  }
#pragma unroll
  for (int i = 0; i < kForwardKept; ++i) {
    for (int k = 0; k < kSize; ++k) squares += float(kept[i][k]) * float(kept[i][k]);
  }
  const int64_t rest = threadIdx.x + int64_t(kForwardKept) * blockDim.x;
  for (int64_t p = rest; p < packs; p += blockDim.x) {
    const Pack<T, kSize> xs = read(p);
    for (int k = 0; k < kSize; ++k) squares += float(xs[k]) * float(xs[k]);
  }

  const float scale = rsqrtf(block_sum(squares) / C + eps);
  if (threadIdx.x == 0) rstd[blockIdx.x] = scale;

  const auto write = [&](int64_t p, const Pack<T, kSize>& xs) {
    const Pack<T, kSize> ws = load<kSize>(weight + p * kSize);
    Pack<T, kSize> ys;
    for (int k = 0; k < kSize; ++k) ys[k] = T(float(xs[k]) * scale * float(ws[k]));
    store(y + row + p * kSize, ys);
  };
#pragma unroll
  for (int i = 0; i < kForwardKept; ++i) {
    const int64_t p = threadIdx.x + int64_t(i) * blockDim.x;
    if (p < packs) write(p, kept[i]);
  }
  const T* const normed = kUpdate ? sum : x;
  for (int64_t p = rest; p < packs; p += blockDim.x) write(p, load<kSize>(normed + row + p * kSize));
}

// Block b takes rows b, b + G, b + 2 G, ... A column always belongs to the same thread, which sums its share of dweight
// in registers, and beyond those in `partial` itself.
template <class T, int kSize>
__global__ void __launch_bounds__(kMostThreads)
    rms_norm_backward_kernel(const T* dy, const T* x, const T* weight, const float* rstd, const T* dresidual, T* dx,
                             float* partial /* [G,C] */, int64_t R, int64_t C) {
  const int64_t packs = C / kSize, rest = threadIdx.x + int64_t(kBackwardKept) * blockDim.x;
  partial += blockIdx.x * C;
  float sums[kBackwardKept][kSize] = {};
  for (int64_t p = rest; p < packs; p += blockDim.x) {
    for (int k = 0; k < kSize; ++k) partial[p * kSize + k] = 0.0f;
  }

  for (int64_t row = blockIdx.x; row < R; row += gridDim.x) {
    const T *dys = dy + row * C, *xs = x + row * C, *drs = dresidual + row * C;
    T* const dxs = dx + row * C;
    const float scale = rstd[row];
    Pack<T, kSize> dy_kept[kBackwardKept] = {}, x_kept[kBackwardKept] = {}, dr_kept[kBackwardKept] = {},
                   w_kept[kBackwardKept] = {};
#pragma unroll
    for (int i = 0; i < kBackwardKept; ++i) {
      const int64_t p = threadIdx.x + int64_t(i) * blockDim.x;
      if (p >= packs) continue;
      dy_kept[i] = load<kSize>(dys + p * kSize);
      x_kept[i] = load<kSize>(xs + p * kSize);
      dr_kept[i] = load<kSize>(drs + p * kSize);
      w_kept[i] = load<kSize>(weight + p * kSize);
    }
    float dot = 0.0f;
#pragma unroll
    for (int i = 0; i < kBackwardKept; ++i) {
      for (int k = 0; k < kSize; ++k) dot += float(dy_kept[i][k]) * float(w_kept[i][k]) * float(x_kept[i][k]);
    }
    for (int64_t p = rest; p < packs; p += blockDim.x) {
      for (int64_t c = p * kSize; c < (p + 1) * kSize; ++c) dot += float(dys[c]) * float(weight[c]) * float(xs[c]);
    }
    const float mean = block_sum(dot) * scale / C;  // mean_c(g * n)

#pragma unroll
    for (int i = 0; i < kBackwardKept; ++i) {
      const int64_t p = threadIdx.x + int64_t(i) * blockDim.x;
      if (p >= packs) continue;
      Pack<T, kSize> out;
      for (int k = 0; k < kSize; ++k) {
        const float n = float(x_kept[i][k]) * scale, d = float(dy_kept[i][k]);
        out[k] = T(float(dr_kept[i][k]) + scale * (d * float(w_kept[i][k]) - n * mean));
        sums[i][k] += d * n;
      }
      store(dxs + p * kSize, out);
    }
    for (int64_t p = rest; p < packs; p += blockDim.x) {
      for (int64_t c = p * kSize; c < (p + 1) * kSize; ++c) {
        const float n = float(xs[c]) * scale, d = float(dys[c]);
        dxs[c] = T(float(drs[c]) + scale * (d * float(weight[c]) - n * mean));
        partial[c] += d * n;
      }
    }
  }

#pragma unroll
  for (int i = 0; i < kBackwardKept; ++i) {
    const int64_t p = threadIdx.x + int64_t(i) * blockDim.x;
    if (p >= packs) continue;
    for (int k = 0; k < kSize; ++k) partial[p * kSize + k] = sums[i][k];
  }
}

}  // namespace

void run(const RmsNormForward& a, Stream& stream) {
  const int64_t R = a.x.dims[0], C = a.x.dims[1];
  dispatch_float(a.x.dtype, [&]<class T>() {
    dispatch_width<T>(C, {a.x.data, a.weight.data, a.y.data}, [&]<int kSize>() {
      launch_kernel(a.kName, rms_norm_forward_kernel<false, T, kSize>, {dim3(R), threads_for(C / kSize, kForwardKept)},
                    static_cast<CudaStream&>(stream), a.x.as<T>(), nullptr, a.weight.as<T>(), nullptr, a.y.as<T>(),
                    a.rstd.as<float>(), C, a.eps);
    });
  });
}

void run(const ResidualRmsNormForward& a, Stream& stream) {
  const int64_t R = a.x.dims[0], C = a.x.dims[1];
  dispatch_float(a.x.dtype, [&]<class T>() {
    dispatch_width<T>(C, {a.x.data, a.update.data, a.weight.data, a.sum.data, a.y.data}, [&]<int kSize>() {
      launch_kernel(a.kName, rms_norm_forward_kernel<true, T, kSize>, {dim3(R), threads_for(C / kSize, kForwardKept)},
                    static_cast<CudaStream&>(stream), a.x.as<T>(), a.update.as<T>(), a.weight.as<T>(), a.sum.as<T>(),
                    a.y.as<T>(), a.rstd.as<float>(), C, a.eps);
    });
  });
}

void run(const RmsNormBackward& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t R = a.x.dims[0], C = a.x.dims[1];
  dispatch_float(a.x.dtype, [&]<class T>() {
    const std::initializer_list<const void*> addresses = {a.dy.data, a.x.data, a.weight.data, a.dresidual.data,
                                                          a.dx.data};
    dispatch_width<T>(C, addresses, [&]<int kSize>() {
      const int threads = threads_for(C / kSize, kBackwardKept);
      const int64_t resident = int64_t(std::min(kMostThreads / threads, kMostBlocks)) * cuda.limits().multiprocessors;
      const int64_t G = std::min(R, resident);
      float* const partial = static_cast<float*>(cuda.scratch(G * C * sizeof(float)));
      launch_kernel(a.kName, rms_norm_backward_kernel<T, kSize>, {dim3(G), threads}, cuda, a.dy.as<T>(), a.x.as<T>(),
                    a.weight.as<T>(), a.rstd.as<float>(), a.dresidual.as<T>(), a.dx.as<T>(), partial, R, C);
      add_column_sums(a.kName, partial, a.dweight.as<float>(), G, C, cuda);
    });
  });
}

}  // namespace ww::cuda
