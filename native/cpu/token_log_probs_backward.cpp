#include "native/cpu/head.h"
#include "native/cpu/pieces.h"
#include "native/kernels/token_log_probs.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kSlices = 32;  // of the vocabulary: each has a dx of its own, so that tasks share nothing
// Panels of the vocabulary by words of rows that a task turns into gradients at a time: they stay in its cache.
constexpr int64_t kStripePanels = 4;
constexpr int64_t kRowBlockWords = 192;
constexpr int64_t kRowsAhead = 8;  // rows of kept logits lie too far apart for the processor to guess the next
constexpr int64_t kScatterColumns = 64;

// dhidden[rows[r]] += dx[r] in the order of r: a task owns a stripe of columns.
void scatter_add(const float* dx, const int32_t* rows, int64_t n, int64_t C, float* dhidden, Workers& workers) {
  workers.parallel_for(ceil_div(C, kScatterColumns), [=](int64_t task, int) {
    const int64_t first = task * kScatterColumns, columns = min(kScatterColumns, C - first);
    for (int64_t r = 0; r < n; ++r) {
      const float* from = dx + r * C + first;
      float* to = dhidden + rows[r] * C + first;
      for_each_vector(columns, [=](int64_t c, int64_t m) { store(to + c, load(to + c, m) + load(from + c, m), m); });
    }
  });
}

// to[j * stride + c] += from[c * kHeadColumns + j] for j < columns, c < C. Reads up to the next kLanes rows.
void add_transposed(const float* from, int64_t C, float* to, int64_t stride, int64_t columns) {
  for (int64_t j = 0; j < columns; j += kLanes) {
    const int64_t rows = min(kLanes, columns - j);
    for_each_vector(C, [&](int64_t c, int64_t n) {
      Vec square[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) square[i] = load(from + (c + i) * kHeadColumns + j);
      transpose(square);
      for (int64_t i = 0; i < rows; ++i) {
        float* row = to + (j + i) * stride + c;
        store(row, load(row, n) + square[i], n);
      }
    });
  }
}

template <bool kFirst, class A, class B>
struct Choose {
  using Type = A;
};
template <class A, class B>
struct Choose<false, A, B> {
  using Type = B;
};

// A task has a slice of the vocabulary, of which it takes a few panels at a time. Block by block of rows it turns their
// logits into gradients, which it multiplies at once by the hidden states, for dweight, and by the weights, for the
// slice's part of dx. The second product takes the gradients as the first one does: what was a panel's columns is the
// depth now.
template <class T>
class Backward {
 public:
  explicit Backward(const TokenLogProbsBackward& a)
      : a_(a),
        rows_(a.hidden, a.rows),
        C_(a.weight.dims[1]),
        V_(a.weight.dims[0]),
        words_(words_of<T>(C_)),
        channel_panels_(ceil_div(C_, kHeadRows<T>)),
        panels_(ceil_div(V_, kHeadColumns)),
        slices_(min(kSlices, ceil_div(panels_, kStripePanels))),
        is_kept_(a.logits.dims[0] > 0) {}

  void run(Workers& workers) const {
    const Shared shared(workers.shared_scratch(Shared(nullptr, *this).bytes), *this);
    for (int thread = 0; thread < workers.threads(); ++thread) workers.scratch(thread, Own(nullptr, *this).bytes);

    float* dhidden = kSumsElsewhere ? shared.dhidden : a_.dhidden.as<float>();
    const int64_t tokens = a_.dhidden.dims[0];
    for_each_row(workers, tokens, 64, [&](int64_t t, int) { __builtin_memset(dhidden + t * C_, 0, C_ * 4); });
    for (int64_t i = 0; i < rows_.chunks; ++i) {
      const Share chunk(rows_.N, i, rows_.chunks);
      rows_.gather(chunk, shared.x, workers);
      pack_hidden(chunk, shared, workers);
      workers.parallel_for(slices_, [&](int64_t slice, int thread) {
        const Own own(workers.scratch(thread, 0), *this);
        const Share mine(panels_, slice, slices_);
        with_tiles<T>([&] {
          for (int64_t panel = mine.first; panel < mine.last; panel += kStripePanels) {
            const Stripe stripe = {panel, min(kStripePanels, mine.last - panel), panel == mine.first};
            multiply_stripe(chunk, stripe, shared, shared.dx + slice * rows_.chunk_rows * C_, own);
          }
        });
      });
      add_slices(chunk, shared, workers);
      scatter_add(shared.dx, rows_.rows + chunk.first, chunk.last - chunk.first, C_, dhidden, workers);
    }
    if constexpr (kSumsElsewhere) {
      for_each_row(workers, tokens, 64, [&](int64_t t, int) {
        T* to = a_.dhidden.as<T>() + t * C_;
        const float* from = dhidden + t * C_;
        for_each_vector(C_, [=](int64_t c, int64_t m) { store(to + c, load(from + c, m), m); });
      });
    }
  }

 private:
  static constexpr int64_t kPer = kPerWord<T>;
  using Number = typename Choose<kPer == 1, float, bfloat16>::Type;  // of a gradient
  static constexpr int64_t kBlockRows = kRowBlockWords * kPer;
  static constexpr int64_t kPieceWords = kBlockRows * kRowWords<T>;       // of a panel's rows
  static constexpr int64_t kColumnWords = kRowBlockWords * kHeadColumns;  // of its columns
  static constexpr int64_t kStripeWords = kStripePanels * kRowWords<T>;   // of the vocabulary
  static constexpr bool kSumsElsewhere = sizeof(T) < sizeof(float);       // dhidden is rounded when it is complete

  struct Stripe {
    int64_t first, panels;
    bool is_first;  // of its slice
  };

  struct Shared {
    T* x;             // [n, C]
    float* channels;  // panels of its columns, of kBlockRows rows each
    float* rows;      // panels of its rows, if logits are computed
    float* dx;        // [slices, n, C]
    float* dhidden;   // [T, C]
    int64_t bytes;

    Shared(void* memory, const Backward& b) {
      Pieces pieces(memory);
      const int64_t n = b.rows_.chunk_rows;
      x = pieces.take<T>(n * b.C_);
      channels = pieces.take<float>(ceil_div(n, kBlockRows) * b.channel_panels_ * kRowBlockWords * kHeadRows<T>);
      rows = pieces.take<float>(b.is_kept_ ? 0 : round_up(n, kHeadRows<T>) * b.words_);
      dx = pieces.take<float>(b.slices_ * n * b.C_);
      dhidden = pieces.take<float>(kSumsElsewhere ? b.a_.dhidden.size() : 0);
      bytes = pieces.bytes();
    }
  };

  struct Own {
    float* sums;        // [kStripePanels, C, kHeadColumns]: dweight, transposed
    float* dz_rows;     // [kStripePanels, kBlockRows, kRowWords]
    float* dz_columns;  // [kStripePanels, kRowBlockWords, kHeadColumns]: the same numbers; of f32, the same words
    float* weight;      // panels of channels
    float* head;        // panels of tokens, if logits are computed
    float* z;           // [kBlockRows, kStripePanels * kHeadColumns], if so
    int64_t bytes;

    Own(void* memory, const Backward& b) {
      Pieces pieces(memory);
      sums = pieces.take<float>(kStripePanels * b.sums_stride());
      dz_rows = pieces.take<float>(kStripePanels * kPieceWords);
      dz_columns = kPer == 1 ? dz_rows : pieces.take<float>(kStripePanels * kColumnWords);
      weight = pieces.take<float>(round_up(b.C_, kHeadColumns) * kStripeWords);
      head = pieces.take<float>(b.is_kept_ ? 0 : kStripePanels * b.words_ * kHeadColumns);
      z = pieces.take<float>(b.is_kept_ ? 0 : kBlockRows * kStripePanels * kHeadColumns);
      bytes = pieces.bytes();
    }
  };

  int64_t sums_stride() const { return round_up(C_, kLanes) * kHeadColumns; }

  float* channels(const Shared& shared, int64_t row, int64_t panel) const {
    return shared.channels + (row / kBlockRows * channel_panels_ + panel) * kRowBlockWords * kHeadRows<T>;
  }

  void pack_hidden(const Share& chunk, const Shared& shared, Workers& workers) const {
    const int64_t n = chunk.last - chunk.first;
    workers.parallel_for(ceil_div(n, kBlockRows), [&](int64_t block, int) {
      const int64_t r = block * kBlockRows;
      pack_panels<T, Side::rows>(columns_as_lanes<T>(shared.x, C_, n, C_), 0, channel_panels_, r,
                                 min(kBlockRows, n - r), channels(shared, r, 0), kRowBlockWords * kHeadRows<T>);
    });
    if (!is_kept_) pack_all<T, Side::rows>(rows_as_lanes<T>(shared.x, n, C_, C_), C_, shared.rows, workers);
  }

  void multiply_stripe(const Share& chunk, const Stripe& stripe, const Shared& shared, float* dx,
                       const Own& own) const {
    const int64_t n = chunk.last - chunk.first, v0 = stripe.first * kHeadColumns;
    pack_weights(stripe, own);
    for (int64_t r = 0; r < n; r += kBlockRows) {
      const int64_t rows = min(kBlockRows, n - r);
      if (!is_kept_) compute_logits(stripe, r, rows, shared, own);
      make_gradients(stripe, chunk.first + r, rows, own);
      for (int64_t c = 0; c < channel_panels_; ++c) {
        for (int64_t p = 0; p < stripe.panels; ++p) {
          float* sums = own.sums + p * sums_stride() + c * kHeadRows<T> * kHeadColumns;
          multiply_tile_of<T>(Tile<float>{words_of<T>(rows), channels(shared, r, c), own.dz_columns + p * kColumnWords,
                                          r > 0 ? sums : nullptr, kHeadColumns, sums, kHeadColumns,
                                          min(kHeadRows<T>, C_ - c * kHeadRows<T>), kHeadColumns});
        }
      }
      for (int64_t i = 0; i < rows; i += kHeadRows<T>) {
        for (int64_t c = 0; c < C_; c += kHeadColumns) {
          float* to = dx + (r + i) * C_ + c;
          multiply_tile_of<T, Left::rows>(Tile<float>{stripe.panels * kRowWords<T>, own.dz_rows + i * kRowWords<T>,
                                                      own.weight + c * kStripeWords, stripe.is_first ? nullptr : to, C_,
                                                      to, C_, min(kHeadRows<T>, rows - i), min(kHeadColumns, C_ - c),
                                                      kPieceWords});
        }
      }
    }
    for (int64_t p = 0; p < stripe.panels; ++p) {
      const int64_t v = v0 + p * kHeadColumns;
      add_transposed(own.sums + p * sums_stride(), C_, a_.dweight.as<float>() + v * C_, C_, min(kHeadColumns, V_ - v));
    }
  }

  // Those of tokens that do not exist are 0.
  void pack_weights(const Stripe& stripe, const Own& own) const {
    const T* weight = a_.weight.as<const T>();
    const int64_t v = stripe.first * kHeadColumns, tokens = min(stripe.panels * kHeadColumns, V_ - v);
    if (tokens < stripe.panels * kHeadColumns) {
      __builtin_memset(own.weight, 0, round_up(C_, kHeadColumns) * kStripeWords * sizeof(float));
    }
    pack_panels<T, Side::columns>(columns_as_lanes(weight, C_, V_, C_), 0, ceil_div(C_, kHeadColumns), v, tokens,
                                  own.weight, kStripeWords * kHeadColumns);
    if (is_kept_) return;
    pack_panels<T, Side::columns>(rows_as_lanes(weight, V_, C_, C_), stripe.first, stripe.first + stripe.panels, 0, C_,
                                  own.head, words_ * kHeadColumns);
  }

  void compute_logits(const Stripe& stripe, int64_t r, int64_t rows, const Shared& shared, const Own& own) const {
    constexpr int64_t kStride = kStripePanels * kHeadColumns;
    for (int64_t i = 0; i < rows; i += kHeadRows<T>) {
      for (int64_t p = 0; p < stripe.panels; ++p) {
        multiply_tile_of<T>(Tile<float>{words_, shared.rows + (r + i) * words_, own.head + p * words_ * kHeadColumns,
                                        nullptr, 0, own.z + i * kStride + p * kHeadColumns, kStride,
                                        min(kHeadRows<T>, rows - i),
                                        min(kHeadColumns, V_ - (stripe.first + p) * kHeadColumns)});
      }
    }
  }

  // Of `rows` pairs from `first` on; rows that only fill a word are 0.
  void make_gradients(const Stripe& stripe, int64_t first, int64_t rows, const Own& own) const {
    const int64_t stride = is_kept_ ? a_.logits.dims[1] : kStripePanels * kHeadColumns,
                  v0 = stripe.first * kHeadColumns;
    const float* z = is_kept_ ? a_.logits.as<float>() + first * stride + v0 : own.z;
    const float *lse = a_.lse.as<float>() + first, *dlog_prob = a_.dlog_probs.as<float>() + first;
    for (int64_t i = 0; i < words_of<T>(rows) * kPer; i += kPer) {
      for (int64_t p = 0; p < stripe.panels; ++p) {
        for (int h = 0; h < 2; ++h) {
          const int64_t v = p * kHeadColumns + h * kLanes;
          Vec dz[kPer] = {};
          for (int64_t k = 0; k < kPer && i + k < rows; ++k) {
            const float* row = z + (i + k) * stride + v;
            __builtin_prefetch(row + kRowsAhead * stride);
            dz[k] = gradients_of(row, V_ - v0 - v, lse[i + k], dlog_prob[i + k]);
          }
          float* to = own.dz_rows + p * kPieceWords + i * kRowWords<T> + h * kLanes / kPer;
          if constexpr (kPer == 1) {
            store(to, dz[0]);
          } else {
            store_pairs(dz[0], dz[1], to, own.dz_columns + p * kColumnWords + i / 2 * kHeadColumns + h * kLanes);
          }
        }
      }
    }
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t label = a_.labels.as<int32_t>()[first + i] - v0, p = label / kHeadColumns, j = label % kHeadColumns;
      if (label < 0 || p >= stripe.panels) continue;
      const Number dz(dlog_prob[i] * -__builtin_expm1f(z[i * stride + label] - lse[i]));
      reinterpret_cast<Number*>(own.dz_rows + p * kPieceWords + i * kRowWords<T>)[j] = dz;
      reinterpret_cast<Number*>(own.dz_columns + p * kColumnWords + i / kPer * kHeadColumns + j)[i % kPer] = dz;
    }
  }

  // Of a vector of one pair's tokens; 0 beyond the first `tokens`.
  static WW_INLINE Vec gradients_of(const float* z, int64_t tokens, float lse, float dlog_prob) {
    if (tokens >= kLanes) return exp2((load(z) - lse) * kLog2E) * -dlog_prob;
    float lanes[kLanes];
    tokens = max(0, tokens);
    store(lanes, exp2((load_first(z, tokens) - lse) * kLog2E) * -dlog_prob);
    return load_first(lanes, tokens);
  }

  // Half a panel of two rows: each as a row of bf16, and both as words of columns.
  static void store_pairs(Vec even, Vec odd, float* rows, float* columns) {
    const HalfVec low = narrow(even), high = narrow(odd);
    __builtin_memcpy(rows, &low, sizeof low);
    __builtin_memcpy(rows + kRowWords<T>, &high, sizeof high);
    store(columns, pair_words(low, high));
  }

  // Into the first one, in their order.
  void add_slices(const Share& chunk, const Shared& shared, Workers& workers) const {
    const int64_t stride = rows_.chunk_rows * C_;
    for_each_row(workers, chunk.last - chunk.first, 16, [&](int64_t r, int) {
      float* dx = shared.dx + r * C_;
      for_each_vector(C_, [&](int64_t c, int64_t m) {
        Vec sum = load(dx + c, m);
        for (int64_t slice = 1; slice < slices_; ++slice) sum += load(dx + slice * stride + c, m);
        store(dx + c, sum, m);
      });
    });
  }

  const TokenLogProbsBackward& a_;
  const HeadRows<T> rows_;
  const int64_t C_, V_, words_, channel_panels_, panels_, slices_;
  const bool is_kept_;
};

}  // namespace

void compute(const TokenLogProbsBackward& a, Workers& workers) {
  check_indices("rows", a.rows, a.hidden.dims[0]);
  check_indices("labels", a.labels, a.weight.dims[0]);
  if (a.rows.size() == 0) {
    __builtin_memset(a.dhidden.data, 0, a.dhidden.bytes());
    return;
  }
  dispatch_float(a.hidden.dtype, [&]<class T>() { Backward<T>(a).run(workers); });
}

}  // namespace ww::cpu::WW_ISA
