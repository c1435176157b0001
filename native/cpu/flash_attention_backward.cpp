#include "native/cpu/attention_mask.h"
#include "native/kernels/flash_attention.h"

namespace ww::cpu::WW_ISA {

namespace {

// Queries packed at once: as many words of them, whatever a word holds.
template <class W>
constexpr int64_t kQueryBlock = 64 * kPerWord<W>;
template <class W>
constexpr int64_t kMaxPanels = kQueryBlock<W> / kPanel;
constexpr int64_t kMaxChunks = 8;  // of a span: bounds the partial dq to 4.5 times their sum

// Keys of one span. A task is a chunk of one key/value head: it owns dk and dv, and its share of dq, which is dq itself
// where a span is one chunk and is added to the others', in the order of the chunks, where it is not.
struct KeyChunk {
  int64_t begin, end;
  const Span* span;
  int64_t first_row, num_chunks;  // in the partial dq; of the span
};

// Scores stand where p will be, unless that is narrower.
template <class W>
constexpr int64_t kScoresLd = kPerWord<W> == 1 ? kQueryBlock<W> : kPanel;

template <class W>
struct Scratch {
  float *keys, *values;          // words of [chunk, D], along D
  float* key_columns;            // the same keys, words along the keys
  float *dkeys, *dvalues;        // [chunk, padded]
  float *q_rows, *dy_rows;       // words of [kQueryBlock, padded], along the queries
  float *q, *dy;                 // words of [kMaxPanels, D, kPanel], along D
  float* dq;                     // [kMaxPanels, D, kPanel]
  W *p, *ds;                     // [kKeyBlock, kQueryBlock]
  float *scores, *dp;            // [kKeyBlock, kScoresLd]
  float *lse, *delta, *factors;  // [kQueryBlock], lse in units of ln 2
  PanelQueries* panels;          // [kMaxPanels]
  int64_t bytes;

  Scratch(void* memory, int64_t chunk, int64_t D) {
    const int64_t padded = padded_channels(D);
    Pieces pieces(memory);
    keys = pieces.take<float>(chunk * D / kPerWord<W> + kLanes);
    values = pieces.take<float>(chunk * D / kPerWord<W> + kLanes);
    dkeys = pieces.take<float>(chunk * padded + kLanes);
    dvalues = pieces.take<float>(chunk * padded + kLanes);
    q_rows = pieces.take<float>(kQueryBlock<W> / kPerWord<W> * padded + kLanes);
    dy_rows = pieces.take<float>(kQueryBlock<W> / kPerWord<W> * padded + kLanes);
    q = pieces.take<float>(kMaxPanels<W> * D / kPerWord<W> * kPanel);
    dy = pieces.take<float>(kMaxPanels<W> * D / kPerWord<W> * kPanel);
    dq = pieces.take<float>(kMaxPanels<W> * D * kPanel);
    p = pieces.take<W>(kKeyBlock * kQueryBlock<W>);
    ds = pieces.take<W>(kKeyBlock * kQueryBlock<W>);
    if constexpr (kPerWord<W> == 1) {
      key_columns = keys;
      scores = p;
      dp = ds;
    } else {
      key_columns = pieces.take<float>(chunk / kPerWord<W> * D + kLanes);
      scores = pieces.take<float>(kKeyBlock * kScoresLd<W>);
      dp = pieces.take<float>(kKeyBlock * kScoresLd<W>);
    }
    lse = pieces.take<float>(kQueryBlock<W>);
    delta = pieces.take<float>(kQueryBlock<W>);
    factors = pieces.take<float>(kQueryBlock<W>);
    panels = pieces.take<PanelQueries>(kMaxPanels<W>);
    bytes = pieces.bytes();
  }
};

void set_zero(float* to, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) store_first(to + i, zero(), min(kLanes, count - i));
}

// For one vector of queries: p = 2^(score * scale - lse), ds = p * (dp - delta). dp becomes words of ds along the keys.
template <class W>
void softmax_gradient(const float* scores, float scale, float* dp, W* p, W* ds, Vec lse, Vec delta, int64_t keys) {
  const auto gradient = [&](int64_t k) {
    const Vec probability = exp2(load(scores + k * kScoresLd<W>) * scale - lse);
    const Vec result = probability * (load(dp + k * kScoresLd<W>) - delta);
    store(p + k * kQueryBlock<W>, probability);
    store(ds + k * kQueryBlock<W>, result);
    return result;
  };
  for (int64_t k = 0; k < keys; k += kPerWord<W>) {
    const Vec first = gradient(k);
    if constexpr (kPerWord<W> == 2) {
      const Vec second = k + 1 < keys ? gradient(k + 1) : zero();
      store(dp + k / 2 * kScoresLd<W>, pair_words(narrow(first), narrow(second)));
    }
  }
}

// Numbers are T in memory, and multiplied in words of W. Where these are pairs, q is not scaled: scores and dk are.
template <class T, class W>
class Backward {
 public:
  Backward(const FlashAttentionBackward& args, const AttentionMask& mask, float* partial_dq)
      : a_(args),
        mask_(mask),
        partial_dq_(partial_dq),
        T_(args.qkv.dims[0]),
        M_(args.qkv.dims[1]),
        H_(args.y.dims[1]),
        D_(args.qkv.dims[2]),
        K_((M_ - H_) / 2),
        padded_(padded_channels(D_)) {}

  void run(const KeyChunk& chunk, int64_t g, const Scratch<W>& scratch) const {
    const int64_t keys = chunk.end - chunk.begin;
    pack_keys(heads(a_.qkv, chunk.begin, keys, H_ + g), heads(a_.qkv, chunk.begin, keys, H_ + K_ + g), scratch);
    set_zero(scratch.dkeys, keys * padded_);
    set_zero(scratch.dvalues, keys * padded_);
    for (int64_t h = g * (H_ / K_); h < (g + 1) * (H_ / K_); ++h) {
      for (int64_t q = chunk.begin; q < chunk.span->end; q += kQueryBlock<W>) {
        add_queries(chunk, h, q, min(q + kQueryBlock<W>, chunk.span->end), scratch);
      }
    }
    unpack_rows(scratch.dkeys, padded_, kScaleQ ? 1.0f : a_.scale, gradient_heads(chunk.begin, keys, H_ + g));
    unpack_rows(scratch.dvalues, padded_, 1.0f, gradient_heads(chunk.begin, keys, H_ + K_ + g));
  }

  // dq of queries whose span is several chunks, beginning with this one.
  void sum_partial_dq(const KeyChunk* chunks, int64_t begin, int64_t end) const {
    T* dqkv = a_.dqkv.template as<T>();
    for (int64_t q = begin; q < end; ++q) {
      for_each_vector(H_ * D_, [&](int64_t i, int64_t n) {
        Vec total = zero();
        for (const KeyChunk* c = chunks; c < chunks + chunks->num_chunks && c->begin <= q; ++c) {
          total += load(partial_dq_ + (c->first_row + q - c->begin) * H_ * D_ + i, n);
        }
        store(dqkv + q * M_ * D_ + i, total, n);
      });
    }
  }

 private:
  static constexpr bool kScaleQ = kPerWord<W> == 1;

  Heads<const T> heads(const Tensor& x, int64_t token, int64_t count, int64_t head) const {
    const T* data = x.as<const T>();
    const int64_t stride = x.dims[1] * D_;
    return {data + token * stride + head * D_, stride, count, D_, data + T_ * stride};
  }
  Heads<T> gradient_heads(int64_t token, int64_t count, int64_t head) const {
    return {a_.dqkv.template as<T>() + (token * M_ + head) * D_, M_ * D_, count, D_, nullptr};
  }

  void pack_keys(const Heads<const T>& keys, const Heads<const T>& values, const Scratch<W>& s) const {
    if constexpr (kPerWord<W> == 1) {
      pack_rows(keys, 1.0f, s.keys, D_);
      pack_rows(values, 1.0f, s.values, D_);
    } else {
      pack_row_words(keys, s.keys);
      pack_row_words(values, s.values);
      pack_column_words(keys, s.key_columns, D_);
    }
  }

  void add_queries(const KeyChunk& chunk, int64_t h, int64_t begin, int64_t end, const Scratch<W>& s) const {
    const int64_t num_panels = ceil_div(end - begin, kPanel);
    for (int64_t i = 0; i < num_panels; ++i) s.panels[i] = panel_queries(mask_, begin + i * kPanel, end);
    set_zero(s.dq, num_panels * D_ * kPanel);
    bool packed = false;
    for (int64_t key = chunk.begin; key < min(chunk.end, end); key += kKeyBlock) {
      const KeyBlock& block = mask_.blocks[chunk.span->first_block + (key - chunk.span->begin) / kKeyBlock];
      VisibleKeys visible[kMaxPanels<W>];
      bool any = false;
      for (int64_t i = 0; i < num_panels; ++i) {
        visible[i] = visible_keys(mask_, s.panels[i], key, min(key + kKeyBlock, chunk.end), block);
        if (visible[i].none()) continue;
        if constexpr (kPerWord<W> == 2) visible[i] = from_even(visible[i], key);
        any = true;
      }
      if (!any) continue;
      if (!packed) pack_queries(h, begin, end, s);
      packed = true;
      add_tile(chunk, visible, num_panels, key, s);
    }
    for (int64_t i = 0; i < num_panels; ++i) store_dq(chunk, h, s.panels[i], s.dq + i * D_ * kPanel, s);
  }

  void pack_queries(int64_t h, int64_t begin, int64_t end, const Scratch<W>& s) const {
    const int64_t count = end - begin;
    pack_query_rows(heads(a_.qkv, begin, count, h), a_.scale, s.q_rows);
    pack_query_rows(heads(a_.dy, begin, count, h), 1.0f, s.dy_rows);
    for (int64_t i = 0; i < count; i += kPanel) begin_panel(h, begin + i, min(kPanel, count - i), i, s);
  }

  void pack_query_rows(const Heads<const T>& from, float scale, float* to) const {
    if constexpr (kScaleQ) {
      pack_rows(from, scale, to, padded_);
    } else {
      pack_column_words(from, to, padded_);
    }
  }

  void pack_query_panel(const Heads<const T>& from, float scale, float* to) const {
    if constexpr (kScaleQ) {
      pack_panel(from, scale, to);
    } else {
      pack_panel_words(from, to);
    }
  }

  // Queries from `lane` of the block on, whose first is q.
  void begin_panel(int64_t h, int64_t q, int64_t count, int64_t lane, const Scratch<W>& s) const {
    const int64_t words = D_ / kPerWord<W>;
    float *dy = s.dy + lane * words, *y = s.dq + lane * D_;  // where dq of this panel will be
    pack_query_panel(heads(a_.qkv, q, count, h), a_.scale * kLog2E, s.q + lane * words);
    pack_query_panel(heads(a_.dy, q, count, h), 1.0f, dy);
    pack_query_panel(heads(a_.y, q, count, h), 1.0f, y);
    const float* lse = a_.lse.as<float>() + h * T_ + q;
    for (int64_t i = 0; i < count; i += kLanes) {
      Vec delta = zero();
      for (int64_t d = 0; d < words; ++d) {
        multiply_add<W>(delta, load(dy + d * kPanel + i), load(y + d * kPanel + i));
      }
      store(s.delta + lane + i, delta);
      store(s.lse + lane + i, load(lse + i, min(kLanes, count - i)) * kLog2E);
    }
    set_zero(y, words * kPanel);
  }

  void add_tile(const KeyChunk& chunk, const VisibleKeys* visible, int64_t num_panels, int64_t key,
                const Scratch<W>& s) const {
    for (int64_t i = 0; i < num_panels; ++i) {
      if (!visible[i].none()) add_panel(chunk, visible[i], i, key, s);
    }
    // Neighbouring panels that see the same keys are summed over in one go.
    for (int64_t i = 0, next; i < num_panels; i = next) {
      const VisibleKeys& keys = visible[i];
      int64_t queries = s.panels[i].count;
      for (next = i + 1; next < num_panels; ++next) {
        if (visible[next].first != keys.first || visible[next].last != keys.last || keys.both < keys.last) break;
        queries += s.panels[next].count;
      }
      sum_queries(chunk, keys.first, keys.both, key, i * kPanel, queries, s);
      sum_queries(chunk, keys.both, keys.last, key, i * kPanel + kLanes, queries - kLanes, s);
    }
  }

  void add_panel(const KeyChunk& chunk, const VisibleKeys& visible, int64_t i, int64_t key, const Scratch<W>& s) const {
    const PanelQueries& queries = s.panels[i];
    const int64_t tile = (visible.first - key) * kQueryBlock<W> + i * kPanel, words = D_ / kPerWord<W>;
    const int64_t row = (visible.first - chunk.begin) * words, panel = i * words * kPanel;
    constexpr int64_t ld = kScoresLd<W>;
    float *scores = s.scores, *dp = s.dp;
    if constexpr (kPerWord<W> == 1) scores += tile, dp += tile;
    dot_keys<W>(visible, queries.count, s.keys + row, D_, s.q + panel, scores, ld);
    dot_keys<W>(visible, queries.count, s.values + row, D_, s.dy + panel, dp, ld);
    if (visible.masked < visible.last) hide_scores(mask_, queries, visible, scores, ld);
    for (int64_t lane = 0; lane < queries.count; lane += kLanes) {
      const Vec lse = load(s.lse + i * kPanel + lane), delta = load(s.delta + i * kPanel + lane);
      const int64_t keys = (lane == 0 ? visible.both : visible.last) - visible.first;
      softmax_gradient(scores + lane, kScaleQ ? 1.0f : a_.scale * kLog2E, dp + lane, s.p + tile + lane,
                       s.ds + tile + lane, lse, delta, keys);
    }
    sum_keys<W>(visible, queries.count, s.key_columns + row, D_, dp, ld, s.dq + i * D_ * kPanel);
  }

  // dv += p dy and dk += ds q for keys [first, last) and some queries, from `lane` of the block on.
  void sum_queries(const KeyChunk& chunk, int64_t first, int64_t last, int64_t key, int64_t lane, int64_t queries,
                   const Scratch<W>& s) const {
    if (last <= first) return;
    const int64_t from = (first - key) * kQueryBlock<W> + lane;
    const int64_t rows = lane / kPerWord<W> * padded_, to = (first - chunk.begin) * padded_;
    const auto add = [&](const W* weights, const float* numbers, float* sums) {
      const Product product{last - first,
                            ceil_div(queries, kPerWord<W>),
                            reinterpret_cast<const float*>(weights + from),
                            kQueryBlock<W> / kPerWord<W>,
                            numbers + rows,
                            padded_,
                            sums + to,
                            padded_,
                            true};
      multiply_channels<W, By::rows>(product, padded_);
    };
    add(s.p, s.dy_rows, s.dvalues);
    add(s.ds, s.q_rows, s.dkeys);
  }

  void store_dq(const KeyChunk& chunk, int64_t h, const PanelQueries& panel, const float* dq,
                const Scratch<W>& s) const {
    for (int64_t i = 0; i < kPanel; i += kLanes) store(s.factors + i, splat(a_.scale));
    if (chunk.num_chunks == 1) return unpack_panel(dq, s.factors, gradient_heads(panel.first, panel.count, h));
    float* to = partial_dq_ + ((chunk.first_row + panel.first - chunk.begin) * H_ + h) * D_;
    unpack_panel(dq, s.factors, Heads<float>{to, H_ * D_, panel.count, D_, nullptr});
  }

  const FlashAttentionBackward& a_;
  const AttentionMask& mask_;
  float* partial_dq_;
  int64_t T_, M_, H_, D_, K_, padded_;
};

// Small enough for 16 tasks if there is that much work, large enough for a query block to be packed for several blocks.
int64_t chunk_size(int64_t tokens, int64_t T, int64_t K) {
  const int64_t aim = max(kKeyBlock, min(4 * kKeyBlock, T * K / 16));
  return round_up(ceil_div(tokens, min(kMaxChunks, ceil_div(tokens, aim))), kKeyBlock);
}

}  // namespace

void compute(const FlashAttentionBackward& a, Workers& workers) {
  const int64_t T = a.qkv.dims[0], M = a.qkv.dims[1], D = a.qkv.dims[2], H = a.y.dims[1], K = (M - H) / 2;
  check_mask(a.sequence_start, a.visible_until);

  int64_t most_chunks = 0, largest_chunk = 0, partial_rows = 0;
  for_each_span(a.sequence_start.as<int32_t>(), T, [&](int64_t begin, int64_t end) {
    const int64_t size = chunk_size(end - begin, T, K), count = ceil_div(end - begin, size);
    most_chunks += count;
    largest_chunk = max(largest_chunk, size);
    for (int64_t c = 0; count > 1 && c < count; ++c) partial_rows += end - begin - c * size;
  });
  struct Shared {
    Span* spans;
    KeyBlock* key_blocks;
    KeyChunk* chunks;
    float* partial_dq;  // [rows, H, D]
    int64_t bytes;

    Shared(void* memory, int64_t T, int64_t most_chunks, int64_t partial_size) {
      Pieces pieces(memory);
      spans = pieces.take<Span>(most_spans(T));
      key_blocks = pieces.take<KeyBlock>(most_blocks(T));
      chunks = pieces.take<KeyChunk>(most_chunks);
      partial_dq = pieces.take<float>(partial_size);
      bytes = pieces.bytes();
    }
  };
  const int64_t partial_size = partial_rows * H * D;
  const int64_t shared_bytes = Shared(nullptr, T, most_chunks, partial_size).bytes;
  const Shared shared(workers.shared_scratch(shared_bytes), T, most_chunks, partial_size);
  const AttentionMask mask = describe_mask(a, shared.spans, shared.key_blocks);

  int64_t num_chunks = 0, row = 0;
  for (int64_t s = 0; s < mask.num_spans; ++s) {
    const Span& span = mask.spans[s];
    const int64_t size = chunk_size(span.end - span.begin, T, K), count = ceil_div(span.end - span.begin, size);
    for (int64_t begin = span.begin; begin < span.end; begin += size) {
      shared.chunks[num_chunks++] = {begin, min(begin + size, span.end), &span, row, count};
      if (count > 1) row += span.end - begin;
    }
  }

  const auto run = [&]<class E, class W>() {
    const int64_t scratch_bytes = Scratch<W>(nullptr, largest_chunk, D).bytes;
    for (int thread = 0; thread < workers.threads(); ++thread) workers.scratch(thread, scratch_bytes);
    const Backward<E, W> backward(a, mask, shared.partial_dq);
    workers.parallel_for(num_chunks * K, [&](int64_t task, int thread) {
      const Scratch<W> scratch(workers.scratch(thread, scratch_bytes), largest_chunk, D);
      backward.run(shared.chunks[task / K], task % K, scratch);
    });
    for (int64_t c = 0; c < num_chunks; c += shared.chunks[c].num_chunks) {
      const KeyChunk* first = shared.chunks + c;
      if (first->num_chunks == 1) continue;
      const int64_t begin = first->span->begin, end = first->span->end;
      workers.parallel_for(ceil_div(end - begin, kQueryBlock<W>), [&](int64_t task, int) {
        const int64_t q = begin + task * kQueryBlock<W>;
        backward.sum_partial_dq(first, q, min(q + kQueryBlock<W>, end));
      });
    }
  };
  dispatch_float(a.qkv.dtype, [&]<class E>() {
    if constexpr (kPerWord<E> == 2) {
      if (D % 2 == 0) return run.template operator()<E, E>();
    }
    run.template operator()<E, float>();  // no whole words
  });
}

}  // namespace ww::cpu::WW_ISA
