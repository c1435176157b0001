#include "native/kernels/sample_tokens.h"

#include "native/cpu/pieces.h"
#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr float kInfinity = __builtin_inff();
constexpr int64_t kChunk = 1 << 12;
constexpr int64_t kBlock =
    64 * kLanes;  // ids whose weights are summed together, to be searched if the draw falls there

typedef double DoubleVec __attribute__((vector_size(kVectorBytes)));

// Adds numbers whose sums a double holds exactly: the order in which its lanes take them does not matter.
WW_INLINE void add_exactly(DoubleVec& sum, Vec v) {
#if defined(__AVX512F__)
  const __m512d low = _mm512_maskz_cvtps_pd(static_cast<__mmask8>(-1), _mm512_castps512_ps256((__m512)v));
  const __m512d high = _mm512_maskz_cvtps_pd(static_cast<__mmask8>(-1), _mm512_extractf32x8_ps((__m512)v, 1));
  sum += (DoubleVec)low + (DoubleVec)high;
#elif defined(__AVX2__)
  const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128((__m256)v));
  const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps((__m256)v, 1));
  sum += (DoubleVec)low + (DoubleVec)high;
#else
  for (int i = 0; i < kLanes; ++i) sum[i % (kLanes / 2)] += static_cast<double>(v[i]);
#endif
}

WW_INLINE double total(DoubleVec v) {
  double sum = 0;
  for (int i = 0; i < kLanes / 2; ++i) sum += v[i];
  return sum;
}

WW_INLINE bool any(IntVec is) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)is, (__m512i)is) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)is) != 0;
#else
  int32_t lanes = 0;
  for (int i = 0; i < kLanes; ++i) lanes |= is[i];
  return lanes != 0;
#endif
}

WW_INLINE IntVec lane_numbers() {
  IntVec lanes{};
  for (int i = 0; i < kLanes; ++i) lanes[i] = i;
  return lanes;
}

// Logits, with -inf for NaN and beside the first n.
WW_INLINE Vec load_logits(const float* from, int64_t n) {
  Vec l = load(from, n);
  if (n < kLanes) l = lane_numbers() < static_cast<int32_t>(n) ? l : splat(-kInfinity);
  return l == l ? l : splat(-kInfinity);
}

// Of numbers of which one at least is not NaN; -inf if none is.
float largest_of(const float* values, int64_t count) {
  Vec most[4] = {splat(-kInfinity), splat(-kInfinity), splat(-kInfinity), splat(-kInfinity)};
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) most[k] = max(load(values + i + k * kLanes), most[k]);
  }
  for_each_vector(count - i, [&](int64_t j, int64_t n) { most[0] = max(load_logits(values + i + j, n), most[0]); });
  return largest(max(max(most[0], most[1]), max(most[2], most[3])));
}

int64_t first_of(const float* values, int64_t count, float value) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t n = min(kLanes, count - i);
    if (!any(load_logits(values + i, n) == splat(value))) continue;
    for (int64_t k = i; k < i + n; ++k) {
      if (values[k] == value) return k;
    }
  }
  return 0;
}

// The weights of `count` ids, and their sum.
double weigh(const float* logits, int64_t count, float highest, float per_temperature, float* weights) {
  constexpr float kStep = 0x1p-9f;  // adding it rounds what is less to multiples of 2^-32; what is more is one already
  DoubleVec sum{};
  for_each_vector(count, [&](int64_t i, int64_t n) {
    const Vec l = load_logits(logits + i, n);
    Vec w = exp((l - highest) * per_temperature);
    w = w < kStep ? (w + kStep) - kStep : w;
    w = w > zero() ? w : zero();
    w = l == splat(highest) ? splat(1.0f) : w;
    store(weights + i, w, n);
    add_exactly(sum, w);
  });
  return total(sum);
}

// Tokens that are kept: those with logits above `threshold`, and of those with this logit the ids up to `last`.
struct Cut {
  float threshold = -kInfinity;
  int32_t last = INT32_MAX;
};

WW_INLINE IntVec is_kept(const Cut& cut, Vec logits, int64_t first_id) {
  const IntVec ids = lane_numbers() + static_cast<int32_t>(first_id);
  return (logits > cut.threshold) | ((logits == splat(cut.threshold)) & (ids <= cut.last));
}

// Sets the weights of ids that are not kept to 0, and returns the sum of the others.
double drop(const float* logits, int64_t begin, int64_t count, const Cut& cut, float* weights) {
  DoubleVec sum{};
  for_each_vector(count, [&](int64_t i, int64_t n) {
    const Vec w = is_kept(cut, load_logits(logits + i, n), begin + i) ? load(weights + i, n) : zero();
    store(weights + i, w, n);
    add_exactly(sum, w);
  });
  return total(sum);
}

// Logits and weights among which a cut lies.
class Candidates {
 public:
  // Takes those whose weight is above 0, or with `counted` those above -inf, each with a weight of 1.
  Candidates(const float* logits, const float* weights, int64_t count, bool counted, float* memory)
      : logits_(memory), weights_(memory + round_up(count, kLanes)) {
    for_each_vector(count, [&](int64_t i, int64_t n) {
      const Vec l = load_logits(logits + i, n), w = counted ? splat(1.0f) : load(weights + i, n);
      add(l, w, counted ? l > splat(-kInfinity) : w > zero());
    });
    find_range();
  }
  static int64_t floats(int64_t count) { return 2 * round_up(count, kLanes); }

  int64_t count() const { return count_; }

  // The first of them, by logit, whose weights sum to `target`: the last one's logit, and how many there are of this
  // logit. All together hold more. Each round looks between the smallest and the largest logit at which the cut can be.
  struct Place {
    float threshold;
    int64_t ties, all_ties;
  };
  Place find(double target) {
    double above = 0;
    while (low_ < high_) {
      float pivot = low_ * 0.5f + high_ * 0.5f;
      if (!(pivot > low_)) pivot = high_;
      const double sum = above + sum_from(pivot);
      const bool is_upper = sum >= target;
      if (!is_upper) above = sum;
      keep(pivot, is_upper);
    }
    const double weight = static_cast<double>(weights_[0]);
    int64_t ties = min(count_, max(1, static_cast<int64_t>((target - above) / weight)));
    while (ties > 1 && above + static_cast<double>(ties - 1) * weight >= target) --ties;
    while (ties < count_ && above + static_cast<double>(ties) * weight < target) ++ties;
    return {low_, ties, count_};
  }

 private:
  double sum_from(float pivot) const {
    DoubleVec sum{};
    for_each_vector(count_, [&](int64_t i, int64_t n) {
      add_exactly(sum, load_logits(logits_ + i, n) >= splat(pivot) ? load(weights_ + i, n) : zero());
    });
    return total(sum);
  }

  // Keeps those from `pivot` on, or those below it, in place.
  void keep(float pivot, bool is_upper) {
    const int64_t count = count_;
    count_ = 0;
    for_each_vector(count, [&](int64_t i, int64_t n) {
      const Vec l = load_logits(logits_ + i, n);
      add(l, load(weights_ + i, n), is_upper ? l >= splat(pivot) : (l < splat(pivot)) & (l > splat(-kInfinity)));
    });
    find_range();
  }

  // Appends the lanes that are wanted; what lies behind them is overwritten as far as a vector goes.
  WW_INLINE void add(Vec l, Vec w, IntVec wanted) {
#if defined(__AVX512F__)
    const __mmask16 mask = _mm512_test_epi32_mask((__m512i)wanted, (__m512i)wanted);
    store(logits_ + count_, (Vec)_mm512_maskz_compress_ps(mask, (__m512)l));
    store(weights_ + count_, (Vec)_mm512_maskz_compress_ps(mask, (__m512)w));
    count_ += __builtin_popcount(mask);
#else
    for (int k = 0; k < kLanes; ++k) {
      logits_[count_] = l[k];
      weights_[count_] = w[k];
      count_ -= wanted[k];  // -1 where it is
    }
#endif
  }

  void find_range() {
    Vec least = splat(kInfinity);
    for_each_vector(count_, [&](int64_t i, int64_t n) {
      const Vec l = load(logits_ + i, n);
      least = (l < least) & (lane_numbers() < static_cast<int32_t>(n)) ? l : least;
    });
    low_ = -largest(-least);
    high_ = largest_of(logits_, count_);
  }

  float *const logits_, *const weights_;
  int64_t count_ = 0;
  float low_ = 0, high_ = 0;
};

struct Settings {
  float temperature, top_p, min_p;
};

// A row while its token is drawn.
class Row {
 public:
  Row(const float* logits, int64_t V, float* memory)
      : logits_(logits),
        V_(V),
        weights_(memory),
        sums_(reinterpret_cast<double*>(memory + round_up(V, 2 * kLanes))),
        candidates_(memory + round_up(V, 2 * kLanes) + 2 * round_up(ceil_div(V, kBlock), kLanes)) {}
  static int64_t floats(int64_t V) {
    return round_up(V, 2 * kLanes) + 2 * round_up(ceil_div(V, kBlock), kLanes) + Candidates::floats(V) + kLanes;
  }

  int64_t draw(const Settings& settings, int64_t top_k, double random) {
    const float highest = largest_of(logits_, V_);
    if (!(highest > -kInfinity)) return 0;
    if (!(settings.temperature > 0)) return first_of(logits_, V_, highest);
    sum_blocks([&](int64_t begin, int64_t count) {
      return weigh(logits_ + begin, count, highest, 1.0f / settings.temperature, weights_ + begin);
    });
    if (top_k > 0 && top_k < V_) limit(true, static_cast<double>(top_k));
    if (settings.top_p < 1) limit(false, static_cast<double>(settings.top_p) * total_);
    if (settings.min_p > 0) {
      const double reach =
          static_cast<double>(settings.temperature) * __builtin_log(static_cast<double>(settings.min_p));
      const float least = static_cast<float>(highest + reach);
      drop_below({least < highest ? least : highest, INT32_MAX});
    }
    return find(random * total_);
  }

 private:
  template <class SumOf>
  WW_INLINE void sum_blocks(const SumOf& sum_of) {
    total_ = 0;
    for (int64_t begin = 0; begin < V_; begin += kBlock) {
      total_ += sums_[begin / kBlock] = sum_of(begin, min(kBlock, V_ - begin));
    }
  }

  void drop_below(const Cut& cut) {
    sum_blocks(
        [&](int64_t begin, int64_t count) { return drop(logits_ + begin, begin, count, cut, weights_ + begin); });
  }

  // Keeps the first that sum to `target`.
  void limit(bool counted, double target) {
    Candidates candidates(logits_, weights_, V_, counted, candidates_);
    if (counted && static_cast<double>(candidates.count()) <= target) return;
    const Candidates::Place place = candidates.find(target);
    int32_t last = INT32_MAX;
    if (place.ties < place.all_ties) {
      int64_t left = place.ties;
      for (last = -1; left > 0;) left -= logits_[++last] == place.threshold && (counted || weights_[last] > 0);
    }
    drop_below({place.threshold, last});
  }

  // The first id at which the weights up to it sum to more than `bound`, which is less than all.
  int64_t find(double bound) const {
    double sum = 0;
    int64_t block = 0;
    while (sum + sums_[block] <= bound) sum += sums_[block++];
    for (int64_t i = block * kBlock;; ++i) {
      sum += static_cast<double>(weights_[i]);
      if (sum > bound) return i;
    }
  }

  const float* const logits_;
  const int64_t V_;
  float* const weights_;  // [V]
  double* const sums_;    // of blocks of them
  float* const candidates_;
  double total_ = 0;
};

}  // namespace

void compute(const SampleTokens& a, Workers& workers) {
  const int64_t R = a.logits.dims[0], V = a.logits.dims[1];
  const float* logits = a.logits.as<float>();
  const float* settings = a.settings.as<float>();
  const int32_t* draws = a.draws.as<int32_t>();
  int32_t* tokens = a.tokens.as<int32_t>();
  workers.parallel_for(R, [=, &workers](int64_t r, int thread) {
    void* const memory = workers.scratch(thread, Row::floats(V) * static_cast<int64_t>(sizeof(float)));
    const double random = static_cast<double>(static_cast<uint32_t>(draws[2 * r + 1])) * 0x1p-32;
    Row row(logits + r * V, V, static_cast<float*>(memory));
    const Settings its{settings[3 * r], settings[3 * r + 1], settings[3 * r + 2]};
    tokens[r] = static_cast<int32_t>(row.draw(its, draws[2 * r], random));
  });
}

void compute(const AdjustLogits& a, Workers& workers) {
  const int64_t E = a.rows.size(), V = a.logits.dims[1];
  check_indices("rows", a.rows, a.logits.dims[0]);
  check_indices("ids", a.ids, V);
  const int32_t *rows = a.rows.as<int32_t>(), *ids = a.ids.as<int32_t>();
  const float* change = a.change.as<float>();
  float* logits = a.logits.as<float>();
  workers.parallel_for(ceil_div(E, kChunk), [=](int64_t chunk, int) {
    const int64_t end = min(E, (chunk + 1) * kChunk);
    for (int64_t e = chunk * kChunk; e < end; ++e) {
      float& l = logits[rows[e] * V + ids[e]];
      l = (l > 0 ? l / change[2 * e] : l * change[2 * e]) + change[2 * e + 1];
    }
  });
}

void compute(const MoveTokens& a, Workers&) {
  check_indices("from", a.from, a.sampled.size());
  check_indices("to", a.to, a.tokens.size());
  const int32_t *sampled = a.sampled.as<int32_t>(), *from = a.from.as<int32_t>(), *to = a.to.as<int32_t>();
  int32_t* tokens = a.tokens.as<int32_t>();
  for (int64_t n = 0; n < a.from.size(); ++n) tokens[to[n]] = sampled[from[n]];
}

}  // namespace ww::cpu::WW_ISA
