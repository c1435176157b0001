#include "native/kernels/token_log_probs.h"

#include "native/cpu/gemm.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kChunkRows = 512;  // the weight and its gradient pass through memory once a chunk
constexpr int64_t kLogitsBytes = int64_t(128) << 20;
constexpr int64_t kRowsPerTask = 4;
constexpr int64_t kColumnsPerTask = 64;

// The three products of a chunk of n pairs. Rows of z and dz lie `stride` numbers apart.
template <class T>
struct Head {
  const T *hidden, *weight;
  const int32_t* rows;
  int64_t C, V, N, chunks;

  Head(const Tensor& hidden, const Tensor& weight, const Tensor& rows)
      : hidden(hidden.as<const T>()),
        weight(weight.as<const T>()),
        rows(rows.as<const int32_t>()),
        C(weight.dims[1]),
        V(weight.dims[0]),
        N(rows.dims[0]),
        chunks(ceil_div(N, min(kChunkRows, max(1, kLogitsBytes / (V * int64_t(sizeof(float))))))) {}

  int64_t chunk_rows() const { return ceil_div(N, chunks); }

  void gather(const Share& chunk, T* x, Workers& workers) const {
    for_each_row(workers, chunk.last - chunk.first, 64, [&](int64_t r, int) {
      __builtin_memcpy(static_cast<void*>(x + r * C), hidden + rows[chunk.first + r] * C, C * sizeof(T));
    });
  }

  Product<T, float> logits(const T* x, int64_t n, float* z, int64_t stride) const {
    return {rows_as_lanes(x, n, C, C), rows_as_lanes(weight, V, C, C), C, z, stride, false};
  }
  Product<T, float> hidden_gradient(const T* dz, int64_t stride, int64_t n, float* dx) const {
    return {rows_as_lanes(dz, n, V, stride), columns_as_lanes(weight, C, V, C), V, dx, C, false};
  }
  Product<T, float> weight_gradient(const T* dz, int64_t stride, const T* x, int64_t n, float* dweight) const {
    return {columns_as_lanes(dz, V, n, stride), columns_as_lanes(x, C, n, C), n, dweight, C, true};
  }

  // Of the products, for a chunk of any of the two sizes that occur.
  int64_t product_bytes(int threads, bool backward) const {
    int64_t bytes = 0;
    for (const int64_t n : {N / chunks, chunk_rows()}) {
      const auto add = [&](const Product<T, float>& p) {
        bytes = max(bytes, Gemm<T, float>(p, threads).shared_bytes());
      };
      add(logits(hidden, n, nullptr, V));
      if (!backward) continue;
      add(hidden_gradient(nullptr, V, n, nullptr));
      add(weight_gradient(nullptr, V, hidden, n, nullptr));
    }
    return bytes;
  }
};

template <class T>
void run(const Product<T, float>& product, Workers& workers, void* memory) {
  Gemm<T, float>(product, workers.threads()).run(workers, memory);
}

float largest_of(const float* z, int64_t count) {
  Vec top = splat(z[0]);
  int64_t v = 0;
  for (; v + kLanes <= count; v += kLanes) top = max(top, load(z + v));
  float result = largest(top);
  for (; v < count; ++v) result = z[v] > result ? z[v] : result;
  return result;
}

WW_INLINE Vec first_lanes(Vec v, int64_t n) {
  if (n == kLanes) return v;
  float lanes[kLanes];
  store(lanes, v);
  return load_first(lanes, n);
}

struct RowResult {
  float log_prob, lse, entropy, correct, mean_logit;
};

// Everything relative to the largest logit: log_prob and entropy then keep their digits however large the logits are.
RowResult softmax_row(const float* z, int64_t V, int64_t label) {
  const float top = largest_of(z, V);
  Vec exps = zero(), weighted = zero(), distance = zero();
  for_each_vector(V, [&](int64_t v, int64_t n) {
    const Vec below = first_lanes(load(z + v, n) - top, n);
    const Vec e = first_lanes(exp(below), n);
    exps += e;
    weighted += e * below;
    distance += below;
  });
  const float total = sum(exps), log_total = __builtin_logf(total);
  const bool correct = z[label] == top && (label == 0 || largest_of(z, label) < top);
  return {z[label] - top - log_total, top + log_total, log_total - sum(weighted) / total, correct ? 1.0f : 0.0f,
          top + sum(distance) / static_cast<float>(V)};
}

// dz may begin where z does: what is written lies never before what is still to be read.
template <class T>
void gradient_row(const float* z, T* dz, int64_t V, int64_t label, float lse, float dlog_prob) {
  const float log_prob = z[label] - lse;
  for_each_vector(V, [=](int64_t v, int64_t n) { store(dz + v, exp(load(z + v, n) - lse) * -dlog_prob, n); });
  dz[label] = T(dlog_prob * -__builtin_expm1f(log_prob));
}

// dhidden[rows[r]] += dx[r] in the order of r: a task owns a stripe of columns.
void scatter_add(const float* dx, const int32_t* rows, int64_t n, int64_t C, float* dhidden, Workers& workers) {
  workers.parallel_for(ceil_div(C, kColumnsPerTask), [=](int64_t task, int) {
    const int64_t first = task * kColumnsPerTask, columns = min(kColumnsPerTask, C - first);
    for (int64_t r = 0; r < n; ++r) {
      const float* from = dx + r * C + first;
      float* to = dhidden + rows[r] * C + first;
      for_each_vector(columns, [=](int64_t c, int64_t m) { store(to + c, load(to + c, m) + load(from + c, m), m); });
    }
  });
}

// Where the arrays of `sizes` bytes lie, one after the other, in memory of `total` bytes.
template <int kCount>
struct Pieces {
  int64_t begins[kCount], total = 0;

  explicit Pieces(const int64_t (&sizes)[kCount]) {
    for (int i = 0; i < kCount; ++i) {
      begins[i] = total;
      total += round_up(sizes[i], 64);
    }
  }
};

template <class T>
void forward(const TokenLogProbsForward& a, Workers& workers) {
  const Head<T> head(a.hidden, a.weight, a.rows);
  const int64_t rows = head.chunk_rows(), C = head.C, V = head.V;
  const bool keeps = a.logits.dims[0] > 0;
  const int64_t stride = keeps ? a.logits.dims[1] : V;
  const Pieces<3> pieces(
      {rows * C * int64_t(sizeof(T)), keeps ? 0 : rows * V * 4, head.product_bytes(workers.threads(), false)});
  char* memory = static_cast<char*>(workers.shared_scratch(pieces.total));
  T* x = reinterpret_cast<T*>(memory + pieces.begins[0]);
  float* chunk_logits = reinterpret_cast<float*>(memory + pieces.begins[1]);

  for (int64_t i = 0; i < head.chunks; ++i) {
    const Share chunk(head.N, i, head.chunks);
    const int64_t n = chunk.last - chunk.first;
    float* z = keeps ? a.logits.as<float>() + chunk.first * stride : chunk_logits;
    head.gather(chunk, x, workers);
    run(head.logits(x, n, z, stride), workers, memory + pieces.begins[2]);
    for_each_row(workers, n, kRowsPerTask, [&](int64_t r, int) {
      const int64_t pair = chunk.first + r;
      const RowResult result = softmax_row(z + r * stride, V, a.labels.as<int32_t>()[pair]);
      a.log_probs.as<float>()[pair] = result.log_prob;
      a.lse.as<float>()[pair] = result.lse;
      a.entropy.as<float>()[pair] = result.entropy;
      a.correct.as<float>()[pair] = result.correct;
      a.mean_logit.as<float>()[pair] = result.mean_logit;
    });
  }
}

template <class T>
void backward(const TokenLogProbsBackward& a, Workers& workers) {
  const Head<T> head(a.hidden, a.weight, a.rows);
  const int64_t rows = head.chunk_rows(), C = head.C, V = head.V, size = a.dhidden.size();
  constexpr bool kSumsElsewhere = sizeof(T) < sizeof(float);  // a row's gradients are summed before they are rounded
  const bool kept = a.logits.dims[0] > 0;
  // Logits that are computed here become their gradients in place.
  const int64_t z_stride = kept ? a.logits.dims[1] : V, dz_stride = kept ? V : V * int64_t(sizeof(float) / sizeof(T));
  const Pieces<5> pieces({rows * C * int64_t(sizeof(T)), rows * dz_stride * int64_t(sizeof(T)), rows * C * 4,
                          kSumsElsewhere ? size * 4 : 0, head.product_bytes(workers.threads(), true)});
  char* memory = static_cast<char*>(workers.shared_scratch(pieces.total));
  T* x = reinterpret_cast<T*>(memory + pieces.begins[0]);
  T* dz = reinterpret_cast<T*>(memory + pieces.begins[1]);
  float* dx = reinterpret_cast<float*>(memory + pieces.begins[2]);
  float* dhidden = kSumsElsewhere ? reinterpret_cast<float*>(memory + pieces.begins[3]) : a.dhidden.as<float>();
  void* products = memory + pieces.begins[4];

  for_each_row(workers, a.dhidden.dims[0], 64, [=](int64_t t, int) { __builtin_memset(dhidden + t * C, 0, C * 4); });
  for (int64_t i = 0; i < head.chunks; ++i) {
    const Share chunk(head.N, i, head.chunks);
    const int64_t n = chunk.last - chunk.first;
    float* z = kept ? a.logits.as<float>() + chunk.first * z_stride : reinterpret_cast<float*>(dz);
    head.gather(chunk, x, workers);
    if (!kept) run(head.logits(x, n, z, z_stride), workers, products);
    for_each_row(workers, n, kRowsPerTask, [&](int64_t r, int) {
      const int64_t pair = chunk.first + r;
      gradient_row(z + r * z_stride, dz + r * dz_stride, V, a.labels.as<int32_t>()[pair], a.lse.as<float>()[pair],
                   a.dlog_probs.as<float>()[pair]);
    });
    run(head.hidden_gradient(dz, dz_stride, n, dx), workers, products);
    scatter_add(dx, head.rows + chunk.first, n, C, dhidden, workers);
    run(head.weight_gradient(dz, dz_stride, x, n, a.dweight.as<float>()), workers, products);
  }
  if constexpr (kSumsElsewhere) {
    for_each_row(workers, a.dhidden.dims[0], 64, [&](int64_t t, int) {
      const float* from = dhidden + t * C;
      T* to = a.dhidden.as<T>() + t * C;
      for_each_vector(C, [=](int64_t c, int64_t m) { store(to + c, load(from + c, m), m); });
    });
  }
}

}  // namespace

void compute(const TokenLogProbsForward& a, Workers& workers) {
  check_indices("rows", a.rows, a.hidden.dims[0]);
  check_indices("labels", a.labels, a.weight.dims[0]);
  if (a.rows.size() == 0) return;
  dispatch_float(a.hidden.dtype, [&]<class T>() { forward<T>(a, workers); });
}

void compute(const TokenLogProbsBackward& a, Workers& workers) {
  check_indices("rows", a.rows, a.hidden.dims[0]);
  check_indices("labels", a.labels, a.weight.dims[0]);
  if (a.rows.size() == 0) {
    __builtin_memset(a.dhidden.data, 0, a.dhidden.bytes());
    return;
  }
  dispatch_float(a.hidden.dtype, [&]<class T>() { backward<T>(a, workers); });
}

}  // namespace ww::cpu::WW_ISA
