#include "native/cpu/head.h"
#include "native/cpu/pieces.h"
#include "native/kernels/token_log_probs.h"

namespace ww::cpu::WW_ISA {

namespace {

// A task's share of the vocabulary: of weights packed for it, as many as stay in its cache beside the rows.
constexpr int64_t kWeightBytes = int64_t(256) << 10;
constexpr int64_t kMostPanels = 8;

// What some columns of the logits say of every row, relative to the row's largest one among them: log_prob and entropy
// then keep their digits however large the logits are.
struct Summary {
  float *top, *total, *weighted, *distance;  // [n]: largest z; sums of e^(z - top), of that times z - top, of z - top
};

// What the column of its label says of every row.
struct LabelSummary {
  float *z, *before;  // [n]: its logit; the largest one before it in its task's share
};

WW_INLINE Vec first_lanes(Vec v, int64_t n) {
  if (n == kLanes) return v;
  float lanes[kLanes];
  store(lanes, v);
  return load_first(lanes, n);
}

float largest_of(const float* z, int64_t count) {
  Vec top = splat(z[0]);
  int64_t v = 0;
  for (; v + kLanes <= count; v += kLanes) top = max(top, load(z + v));
  float result = largest(top);
  for (; v < count; ++v) result = z[v] > result ? z[v] : result;
  return result;
}

// Of rows [row, row + rows), at most kLanes of them, of z[rows, columns].
void summarise(const float* z, int64_t stride, int64_t rows, int64_t columns, const Summary& to, int64_t row) {
  const int64_t whole = columns / kLanes * kLanes, rest = columns - whole;
  Vec tops[kLanes] = {}, totals[kLanes] = {}, weights[kLanes] = {}, distances[kLanes] = {};
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = z + r * stride;
    Vec top = rest > 0 ? splat(largest_of(from + whole, rest)) : load(from);
    for (int64_t v = 0; v < whole; v += kLanes) top = max(top, load(from + v));
    tops[r] = top;
  }
  float top_of[kLanes];
  store(top_of, largest_each(tops));
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = z + r * stride;
    Vec total = zero(), weighted = zero(), distance = zero();
    const auto add = [&](Vec below, Vec e) {
      total += e;
      weighted += e * below;
      distance += below;
    };
    for (int64_t v = 0; v < whole; v += kLanes) {
      const Vec below = load(from + v) - top_of[r];
      add(below, exp2(below * kLog2E));
    }
    if (rest > 0) {
      const Vec below = first_lanes(load_first(from + whole, rest) - top_of[r], rest);
      add(below, first_lanes(exp2(below * kLog2E), rest));
    }
    totals[r] = total;
    weights[r] = weighted;
    distances[r] = distance;
  }
  store(to.top + row, load(top_of), rows);
  store(to.total + row, sum_each(totals), rows);
  store(to.weighted + row, sum_each(weights), rows);
  store(to.distance + row, sum_each(distances), rows);
}

template <class T>
class Forward {
 public:
  explicit Forward(const TokenLogProbsForward& a)
      : a_(a),
        rows_(a.hidden, a.rows),
        C_(a.weight.dims[1]),
        V_(a.weight.dims[0]),
        words_(words_of<T>(C_)),
        panels_(min(kMostPanels, max(1, kWeightBytes / (words_ * kHeadColumns * int64_t(sizeof(float)))))),
        tasks_(ceil_div(V_, panels_ * kHeadColumns)) {}

  void run(Workers& workers) const {
    const Shared shared(workers.shared_scratch(Shared(nullptr, *this).bytes), *this);
    for (int thread = 0; thread < workers.threads(); ++thread) workers.scratch(thread, Own(nullptr, *this).bytes);
    for (int64_t i = 0; i < rows_.chunks; ++i) {
      const Share chunk(rows_.N, i, rows_.chunks);
      const int64_t n = chunk.last - chunk.first;
      rows_.gather(chunk, shared.x, workers);
      pack_all<T, Side::rows>(rows_as_lanes<T>(shared.x, n, C_, C_), C_, shared.packed, workers);
      workers.parallel_for(tasks_, [&](int64_t task, int thread) {
        const Own own(workers.scratch(thread, 0), *this);
        with_tiles<T>([&] { summarise_columns(task, chunk, shared, own); });
      });
      workers.parallel_for(ceil_div(n, kLanes), [&](int64_t task, int) {
        finish_rows(chunk, task * kLanes, min(kLanes, n - task * kLanes), shared);
      });
    }
  }

 private:
  struct Shared {
    T* x;           // [n, C]
    float* packed;  // panels of its rows
    float* sums;    // [4, tasks, n]
    LabelSummary labels;
    int64_t bytes;

    Shared(void* memory, const Forward& f) {
      Pieces pieces(memory);
      const int64_t n = f.rows_.chunk_rows;
      x = pieces.take<T>(n * f.C_);
      packed = pieces.take<float>(round_up(n, kHeadRows<T>) * f.words_);
      sums = pieces.take<float>(4 * f.tasks_ * n);
      labels.z = pieces.take<float>(n);
      labels.before = pieces.take<float>(n);
      bytes = pieces.bytes();
    }
  };

  struct Own {
    float* weight;  // panels of a task's columns
    float* z;       // [kHeadRows, columns]
    int64_t bytes;

    Own(void* memory, const Forward& f) {
      Pieces pieces(memory);
      weight = pieces.take<float>(f.panels_ * kHeadColumns * f.words_);
      z = pieces.take<float>(kHeadRows<T> * f.panels_ * kHeadColumns);
      bytes = pieces.bytes();
    }
  };

  int64_t columns_of(int64_t task) const { return min(panels_ * kHeadColumns, V_ - first_column(task)); }
  int64_t first_column(int64_t task) const { return task * panels_ * kHeadColumns; }
  Summary summary(const Shared& shared, int64_t task) const {
    const int64_t n = rows_.chunk_rows, all = tasks_ * n;
    float* first = shared.sums + task * n;
    return {first, first + all, first + 2 * all, first + 3 * all};
  }

  void summarise_columns(int64_t task, const Share& chunk, const Shared& shared, const Own& own) const {
    const int64_t n = chunk.last - chunk.first, v0 = first_column(task), columns = columns_of(task);
    const int64_t first = v0 / kHeadColumns, last = ceil_div(v0 + columns, kHeadColumns);
    const int64_t weight_stride = words_ * kHeadColumns;
    const bool keeps = a_.logits.dims[0] > 0;
    const int64_t stride = keeps ? a_.logits.dims[1] : panels_ * kHeadColumns;
    const int32_t* labels = a_.labels.as<int32_t>() + chunk.first;
    const Operand<T> weight = rows_as_lanes(a_.weight.as<const T>(), V_, C_, C_);
    const Summary to = summary(shared, task);
    pack_panels<T, Side::columns>(weight, first, last, 0, C_, own.weight, weight_stride);
    for (int64_t r = 0; r < n; r += kHeadRows<T>) {
      const int64_t rows = min(kHeadRows<T>, n - r);
      float* z = keeps ? a_.logits.as<float>() + (chunk.first + r) * stride + v0 : own.z;
      for (int64_t p = 0; p < last - first; ++p) {
        multiply_tile_of<T>(Tile<float>{words_, shared.packed + r * words_, own.weight + p * weight_stride, nullptr, 0,
                                        z + p * kHeadColumns, stride, rows,
                                        min(kHeadColumns, columns - p * kHeadColumns)});
      }
      for (int64_t i = 0; i < rows; i += kLanes) {
        summarise(z + i * stride, stride, min(kLanes, rows - i), columns, to, r + i);
      }
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t label = labels[r + i] - v0;
        if (label < 0 || label >= columns) continue;
        shared.labels.z[r + i] = z[i * stride + label];
        shared.labels.before[r + i] = label == 0 ? -__builtin_inff() : largest_of(z + i * stride, label);
      }
    }
  }

  // Adds up what the tasks found of rows [r, r + m), in the order of the vocabulary.
  void finish_rows(const Share& chunk, int64_t r, int64_t m, const Shared& shared) const {
    const int64_t first = chunk.first + r;
    Vec top = load(summary(shared, 0).top + r, m);
    for (int64_t task = 1; task < tasks_; ++task) top = max(top, load(summary(shared, task).top + r, m));
    Vec total = zero(), weighted = zero(), distance = zero();
    for (int64_t task = 0; task < tasks_; ++task) {
      const Summary part = summary(shared, task);
      const Vec below = load(part.top + r, m) - top, scale = exp(below), totals = load(part.total + r, m);
      total += totals * scale;
      weighted += (load(part.weighted + r, m) + totals * below) * scale;
      distance += load(part.distance + r, m) + below * static_cast<float>(columns_of(task));
    }
    for (int64_t i = 0; i < m; ++i) {
      const float z = shared.labels.z[r + i], log_total = __builtin_logf(total[i]);
      bool is_first = shared.labels.before[r + i] < top[i];
      const int64_t labels_task = a_.labels.as<int32_t>()[first + i] / (panels_ * kHeadColumns);
      for (int64_t task = 0; task < labels_task; ++task) is_first &= summary(shared, task).top[r + i] < top[i];
      a_.log_probs.as<float>()[first + i] = z - top[i] - log_total;
      a_.lse.as<float>()[first + i] = top[i] + log_total;
      a_.entropy.as<float>()[first + i] = log_total - weighted[i] / total[i];
      a_.correct.as<float>()[first + i] = z == top[i] && is_first ? 1.0f : 0.0f;
      a_.mean_logit.as<float>()[first + i] = top[i] + distance[i] / static_cast<float>(V_);
    }
  }

  const TokenLogProbsForward& a_;
  const HeadRows<T> rows_;
  const int64_t C_, V_, words_, panels_, tasks_;
};

}  // namespace

void compute(const TokenLogProbsForward& a, Workers& workers) {
  check_indices("rows", a.rows, a.hidden.dims[0]);
  check_indices("labels", a.labels, a.weight.dims[0]);
  if (a.rows.size() == 0) return;
  dispatch_float(a.hidden.dtype, [&]<class T>() { Forward<T>(a).run(workers); });
}

}  // namespace ww::cpu::WW_ISA
