#include "native/cpu/attention_mask.h"
#include "native/kernels/flash_attention.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kQueryBlock = 128;  // the keys of a block are widened once for this many queries
constexpr int64_t kMaxPanels = kQueryBlock / kPanel;
constexpr float kLn2 = 0.693147181f;
constexpr float kLowest = -3.0e38f;  // finite, so that the difference to a hidden score is not NaN

// A block of queries, of one head and within one span: one task.
struct QueryBlock {
  int64_t begin, end;
  const Span* span;
};

struct PanelState {
  PanelQueries queries;
  float* q;             // words of [D, kPanel]
  float* y;             // [D, kPanel], before its division by total
  float top[kPanel];    // the largest score so far, in units of ln 2
  float total[kPanel];  // sum of 2^(score - top)
};

template <class W>
struct Scratch {
  PanelState* panels;    // [kMaxPanels]
  float *q, *y;          // [kMaxPanels, D, kPanel]
  float *keys, *values;  // words of [kKeyBlock, D], along D and along the keys
  float* scores;         // [kKeyBlock, kPanel]; then their probabilities, words along the keys
  int64_t bytes;

  Scratch(void* memory, int64_t D) {
    Pieces pieces(memory);
    panels = pieces.take<PanelState>(kMaxPanels);
    q = pieces.take<float>(kMaxPanels * D / kPerWord<W> * kPanel);
    y = pieces.take<float>(kMaxPanels * D * kPanel);
    keys = pieces.take<float>(kKeyBlock * D / kPerWord<W> + kLanes);
    values = pieces.take<float>(kKeyBlock * D / kPerWord<W> + kLanes);
    scores = pieces.take<float>(kKeyBlock * kPanel);
    bytes = pieces.bytes();
  }
};

// The scores of one vector of queries, times `scale`, become 2^(score - top), in words along the keys; what was summed
// before shrinks if top has grown.
template <class W>
void softmax_step(PanelState& panel, int64_t lane, float scale, float* scores, int64_t keys, int64_t D) {
  const Vec before = load(panel.top + lane);
  Vec most = splat(kLowest);
  for (int64_t k = 0; k < keys; ++k) most = max(most, load(scores + k * kPanel + lane));
  const Vec top = max(before, most * scale);
  const Vec shrink = exp2(before - top);
  Vec total = load(panel.total + lane) * shrink;
  const auto probability = [&](int64_t k) {
    const Vec p = exp2(load(scores + k * kPanel + lane) * scale - top);
    total += p;
    return p;
  };
  for (int64_t k = 0; k < keys; k += kPerWord<W>) {
    const Vec p = probability(k);
    if constexpr (kPerWord<W> == 1) {
      store(scores + k * kPanel + lane, p);
    } else {
      const HalfVec next = narrow(k + 1 < keys ? probability(k + 1) : zero());
      store(scores + k / 2 * kPanel + lane, pair_words(narrow(p), next));
    }
  }
  store(panel.top + lane, top);
  store(panel.total + lane, total);
  if (sum(before < top ? splat(1.0f) : zero()) == 0.0f) return;
  for (int64_t d = 0; d < D; ++d) store(panel.y + d * kPanel + lane, load(panel.y + d * kPanel + lane) * shrink);
}

template <class W>
void attend(const AttentionMask& mask, PanelState& panel, const VisibleKeys& visible, float scale, const float* keys,
            const float* values, float* scores, int64_t D) {
  const int64_t queries = panel.queries.count;
  dot_keys<W>(visible, queries, keys, D, panel.q, scores, kPanel);
  if (visible.masked < visible.last) hide_scores(mask, panel.queries, visible, scores, kPanel);
  softmax_step<W>(panel, 0, scale, scores, visible.both - visible.first, D);
  if (queries > kLanes) softmax_step<W>(panel, kLanes, scale, scores, visible.last - visible.first, D);
  sum_keys<W>(visible, queries, values, D, scores, kPanel, panel.y);
}

// Numbers are T in memory, and multiplied in words of W.
template <class T, class W>
class Forward {
 public:
  Forward(const FlashAttentionForward& args, const AttentionMask& mask)
      : mask_(mask),
        qkv_(args.qkv.as<const T>()),
        y_(args.y.as<T>()),
        lse_(args.lse.as<float>()),
        M_(args.qkv.dims[1]),
        H_(args.y.dims[1]),
        D_(args.qkv.dims[2]),
        K_((M_ - H_) / 2),
        scale_(args.scale * kLog2E) {}

  void run(const QueryBlock& block, int64_t h, void* memory) const {
    Scratch<W> scratch(memory, D_);
    const int64_t num_panels = ceil_div(block.end - block.begin, kPanel);
    for (int64_t i = 0; i < num_panels; ++i) begin_panel(scratch, i, block, h);

    const int64_t first_key = max(block.span->begin, mask_.sequence_start[block.begin]);
    for (int64_t b = (first_key - block.span->begin) / kKeyBlock;; ++b) {
      const int64_t begin = block.span->begin + b * kKeyBlock, end = min(begin + kKeyBlock, block.span->end);
      if (begin >= block.end) break;
      add_keys(scratch, num_panels, begin, end, mask_.blocks[block.span->first_block + b], h / (H_ / K_));
    }
    for (int64_t i = 0; i < num_panels; ++i) end_panel(scratch.panels[i], h);
  }

 private:
  Heads<const T> heads(int64_t token, int64_t count, int64_t head) const {
    return {qkv_ + (token * M_ + head) * D_, M_ * D_, count, D_, qkv_ + mask_.T * M_ * D_};
  }

  void begin_panel(Scratch<W>& scratch, int64_t i, const QueryBlock& block, int64_t h) const {
    PanelState& panel = scratch.panels[i];
    panel.queries = panel_queries(mask_, block.begin + i * kPanel, block.end);
    panel.q = scratch.q + i * D_ / kPerWord<W> * kPanel;
    panel.y = scratch.y + i * D_ * kPanel;
    const Heads<const T> q = heads(panel.queries.first, panel.queries.count, h);
    if constexpr (kPerWord<W> == 1) {
      pack_panel(q, 1.0f, panel.q);
    } else {
      pack_panel_words(q, panel.q);
    }
    for (int64_t d = 0; d < D_ * kPanel; d += kLanes) store(panel.y + d, zero());
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      panel.top[lane] = kLowest;
      panel.total[lane] = 0.0f;
    }
  }

  void add_keys(Scratch<W>& scratch, int64_t num_panels, int64_t begin, int64_t end, const KeyBlock& block,
                int64_t g) const {
    VisibleKeys visible[kMaxPanels];
    int64_t first = end, last = begin;
    for (int64_t i = 0; i < num_panels; ++i) {
      visible[i] = visible_keys(mask_, scratch.panels[i].queries, begin, end, block);
      if (visible[i].none()) continue;
      if constexpr (kPerWord<W> == 2) visible[i] = from_even(visible[i], begin);
      first = min(first, visible[i].first);
      last = max(last, visible[i].last);
    }
    if (first >= last) return;
    const Heads<const T> keys = heads(first, last - first, H_ + g), values = heads(first, last - first, H_ + K_ + g);
    if constexpr (kPerWord<W> == 1) {
      pack_rows(keys, 1.0f, scratch.keys, D_);
      pack_rows(values, 1.0f, scratch.values, D_);
    } else {
      pack_row_words(keys, scratch.keys);
      pack_column_words(values, scratch.values, D_);
    }
    for (int64_t i = 0; i < num_panels; ++i) {
      if (visible[i].none()) continue;
      const int64_t words = (visible[i].first - first) * D_ / kPerWord<W>;
      attend<W>(mask_, scratch.panels[i], visible[i], scale_, scratch.keys + words, scratch.values + words,
                scratch.scores, D_);
    }
  }

  void end_panel(PanelState& panel, int64_t h) const {
    const int64_t first = panel.queries.first, count = panel.queries.count;
    for (int64_t i = 0; i < count; i += kLanes) {
      const Vec total = load(panel.total + i);
      store(lse_ + h * mask_.T + first + i, load(panel.top + i) * kLn2 + log_of_positive(total),
            min(kLanes, count - i));
      store(panel.total + i, 1.0f / total);
    }
    unpack_panel(panel.y, panel.total, Heads<T>{y_ + (first * H_ + h) * D_, H_ * D_, count, D_, nullptr});
  }

  const AttentionMask& mask_;
  const T* qkv_;
  T* y_;
  float* lse_;
  int64_t M_, H_, D_, K_;
  float scale_;
};

}  // namespace

void compute(const FlashAttentionForward& a, Workers& workers) {
  const int64_t T = a.qkv.dims[0], H = a.y.dims[1], D = a.qkv.dims[2];
  check_mask(a.sequence_start, a.visible_until);
  struct Shared {
    Span* spans;
    KeyBlock* key_blocks;
    QueryBlock* query_blocks;
    int64_t bytes;

    Shared(void* memory, int64_t T) {
      Pieces pieces(memory);
      spans = pieces.take<Span>(most_spans(T));
      key_blocks = pieces.take<KeyBlock>(most_blocks(T));
      query_blocks = pieces.take<QueryBlock>(T / kQueryBlock + most_spans(T));
      bytes = pieces.bytes();
    }
  };
  const Shared shared(workers.shared_scratch(Shared(nullptr, T).bytes), T);
  const AttentionMask mask = describe_mask(a, shared.spans, shared.key_blocks);

  // The last block of a span sees the most keys: longest first.
  int64_t num_blocks = 0;
  for (int64_t s = 0; s < mask.num_spans; ++s) {
    const Span& span = mask.spans[s];
    const int64_t tokens = span.end - span.begin;
    const int64_t size = round_up(ceil_div(tokens, ceil_div(tokens, kQueryBlock)), kPanel);
    for (int64_t b = ceil_div(tokens, size); b-- > 0;) {
      shared.query_blocks[num_blocks++] = {span.begin + b * size, min(span.begin + (b + 1) * size, span.end), &span};
    }
  }

  const auto run = [&]<class E, class W>() {
    const int64_t scratch_bytes = Scratch<W>(nullptr, D).bytes;
    for (int thread = 0; thread < workers.threads(); ++thread) workers.scratch(thread, scratch_bytes);
    const Forward<E, W> forward(a, mask);
    workers.parallel_for(num_blocks * H, [&](int64_t task, int thread) {
      forward.run(shared.query_blocks[task / H], task % H, workers.scratch(thread, scratch_bytes));
    });
  };
  dispatch_float(a.qkv.dtype, [&]<class E>() {
    if (D % kPerWord<E> == 0) return run.template operator()<E, E>();
    run.template operator()<E, float>();  // no whole words
  });
}

}  // namespace ww::cpu::WW_ISA
