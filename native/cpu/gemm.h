#pragma once

// Matrix products out of packed panels. One operand is packed once for all threads; the other one is cut into tasks,
// and a task packs its share into memory of its own thread. Nothing is packed twice unless the longer operand has too
// few panels for all threads.
//
// Every element is summed along the depth in blocks whose lengths follow from the depth alone, so it depends neither on
// the number of threads nor on the other rows and columns.

#include "native/cpu/gemm_tile.h"

namespace ww::cpu::WW_ISA {

// c[i, j] = sum_k a(i, k) * b(j, k), or += if `add`, which needs an f32 c.
template <class T, class Out>
struct Product {
  Operand<T> a, b;
  int64_t depth;
  Out* c;
  int64_t c_stride;
  bool add;
};

template <class T>
constexpr int64_t kBlockWords = kInTiles<T> ? 192 : 512;  // of the depth
constexpr int64_t kOwnBytes = int64_t(256) << 10;         // of a task's panels: they stay in the second-level cache
constexpr int64_t kSharedBytes = int64_t(8) << 20;        // of the other operand's panels, if C is f32
constexpr double kSerialWork = 1 << 19;                   // flops; less is not worth sharing out
constexpr double kPackingWork = 32;                       // flops in the time a number is packed
constexpr int64_t kTasksPerThread = 4;

// The blocks that sums are made of. They follow from the depth alone.
template <class T>
struct DepthBlocks {
  int64_t count, depth;  // numbers of each block but the last

  explicit DepthBlocks(int64_t all)
      : count(max(1, ceil_div(all, kBlockWords<T> * kPerWord<T>))),
        depth(round_up(ceil_div(all, count), kDepthUnit<T>)) {}
};

// `index` of `parts` equal shares of [0, count).
struct Share {
  int64_t first, last;

  WW_INLINE Share(int64_t count, int64_t index, int64_t parts)
      : first(count * index / parts), last(count * (index + 1) / parts) {}
};

template <class T, class Out>
class Gemm {
 public:
  Gemm(const Product<T, Out>& product, int threads)
      : p_(product),
        rows_(product.a.lanes),
        columns_(product.b.lanes),
        row_panels_(ceil_div(rows_, kRows)),
        column_panels_(ceil_div(columns_, kColumns)),
        own_rows_(rows_ >= columns_),
        blocks_(DepthBlocks<T>(p_.depth).count),
        block_depth_(DepthBlocks<T>(p_.depth).depth),
        block_words_(block_depth_ / kPer) {
    const int64_t shared_block = shared_panels() * shared_width() * block_words_ * int64_t(sizeof(float));
    blocks_per_pass_ = kKeepsPartialSums ? min(blocks_, max(1, kSharedBytes / max(1, shared_block))) : blocks_;
    shared_bytes_ = blocks_per_pass_ * shared_block;

    const int64_t own_block = own_panels() * own_width() * block_words_ * int64_t(sizeof(float));
    const bool is_serial = (2.0 * rows_ * columns_ + kPackingWork * (rows_ + columns_)) * p_.depth < kSerialWork;
    const int64_t wanted =
        is_serial ? 1 : max(threads * kTasksPerThread, round_up(ceil_div(own_block, kOwnBytes), threads));
    own_parts_ = min(own_panels(), wanted);
    shared_parts_ =
        own_parts_ < 2 * threads && !is_serial ? min(shared_panels(), ceil_div(2 * threads, own_parts_)) : 1;
    own_bytes_ = ceil_div(own_panels(), own_parts_) * own_width() * block_words_ * int64_t(sizeof(float));
  }

  // Of the memory that `run` is given, 64-byte aligned.
  int64_t shared_bytes() const { return round_up(shared_bytes_, 64) + partial_bytes(); }

  void run(Workers& workers, void* memory) const {
    if (rows_ == 0 || columns_ == 0) return;
    float* shared = static_cast<float*>(memory);
    float* partial = reinterpret_cast<float*>(static_cast<char*>(memory) + round_up(shared_bytes_, 64));
    if constexpr (kKeepsPartialSums) partial = p_.c;
    for (int thread = 0; thread < workers.threads(); ++thread) workers.scratch(thread, own_bytes_);
    for (int64_t first = 0; first < blocks_; first += blocks_per_pass_) {
      const int64_t last = min(blocks_, first + blocks_per_pass_);
      if (own_rows_) {
        pass<Side::rows, Side::columns>(workers, p_.a, p_.b, first, last, shared, partial);
      } else {
        pass<Side::columns, Side::rows>(workers, p_.b, p_.a, first, last, shared, partial);
      }
    }
  }

 private:
  static constexpr int64_t kPer = kPerWord<T>;
  static constexpr int64_t kRows = kPanelLanes<T, Side::rows>, kColumns = kPanelLanes<T, Side::columns>;
  static constexpr bool kKeepsPartialSums = sizeof(Out) == sizeof(float);
  static constexpr int64_t kPanelsAtOnce = 4;

  int64_t own_panels() const { return own_rows_ ? row_panels_ : column_panels_; }
  int64_t shared_panels() const { return own_rows_ ? column_panels_ : row_panels_; }
  int64_t own_width() const { return own_rows_ ? kRows : kColumns; }
  int64_t shared_width() const { return own_rows_ ? kColumns : kRows; }
  int64_t partial_bytes() const { return kKeepsPartialSums || blocks_ == 1 ? 0 : rows_ * columns_ * 4; }

  template <Side kOwn, Side kShared>
  void pass(Workers& workers, const Operand<T>& own, const Operand<T>& other, int64_t first, int64_t last,
            float* shared, float* partial) const {
    const int64_t own_stride = kPanelLanes<T, kOwn> * block_words_;
    const int64_t shared_stride = kPanelLanes<T, kShared> * block_words_;
    const int64_t groups = ceil_div(shared_panels(), kPanelsAtOnce);
    const auto block_of = [&](int64_t block) { return min(block_depth_, p_.depth - block * block_depth_); };

    workers.parallel_for(groups * (last - first), [&](int64_t task, int) {
      const int64_t block = first + task / groups, panel = task % groups * kPanelsAtOnce;
      float* to = shared + ((block - first) * shared_panels() + panel) * shared_stride;
      pack_panels<T, kShared>(other, panel, min(panel + kPanelsAtOnce, shared_panels()), block * block_depth_,
                              block_of(block), to, shared_stride);
    });

    workers.parallel_for(own_parts_ * shared_parts_, [&](int64_t task, int thread) {
      const Share mine(own_panels(), task / shared_parts_, own_parts_);
      const Share theirs(shared_panels(), task % shared_parts_, shared_parts_);
      float* panels = static_cast<float*>(workers.scratch(thread, own_bytes_));
      with_tiles<T>([&] {
        for (int64_t block = first; block < last; ++block) {
          pack_panels<T, kOwn>(own, mine.first, mine.last, block * block_depth_, block_of(block), panels, own_stride);
          const float* others = shared + (block - first) * shared_panels() * shared_stride;
          for (int64_t s = theirs.first; s < theirs.last; ++s) {
            for (int64_t o = mine.first; o < mine.last; ++o) {
              const float* own_panel = panels + (o - mine.first) * own_stride;
              const float* shared_panel = others + s * shared_stride;
              if constexpr (kOwn == Side::rows) {
                multiply_block(block, o, s, own_panel, shared_panel, partial);
              } else {
                multiply_block(block, s, o, shared_panel, own_panel, partial);
              }
            }
          }
        }
      });
    });
  }

  void multiply_block(int64_t block, int64_t row_panel, int64_t column_panel, const float* a, const float* b,
                      float* partial) const {
    const int64_t i = row_panel * kRows, j = column_panel * kColumns;
    const int64_t rows = min(kRows, rows_ - i), columns = min(kColumns, columns_ - j);
    const int64_t words = round_up(min(block_depth_, p_.depth - block * block_depth_), kDepthUnit<T>) / kPer;
    const int64_t partial_stride = kKeepsPartialSums ? p_.c_stride : columns_;
    float* sums = partial + i * partial_stride + j;
    const float* from = block > 0 || p_.add ? sums : nullptr;
    if (kKeepsPartialSums || block + 1 < blocks_) {
      multiply_tile_of<T>(Tile<float>{words, a, b, from, partial_stride, sums, partial_stride, rows, columns});
    } else {
      Out* c = p_.c + i * p_.c_stride + j;
      multiply_tile_of<T>(Tile<Out>{words, a, b, from, partial_stride, c, p_.c_stride, rows, columns});
    }
  }

  const Product<T, Out> p_;
  const int64_t rows_, columns_, row_panels_, column_panels_;
  const bool own_rows_;  // tasks share out the rows, and the columns' panels are shared; or the other way round
  const int64_t blocks_, block_depth_, block_words_;
  int64_t blocks_per_pass_, shared_bytes_, own_parts_, shared_parts_, own_bytes_;
};

template <class T, class Out>
void multiply(const Product<T, Out>& product, Workers& workers) {
  const Gemm<T, Out> gemm(product, workers.threads());
  gemm.run(workers, workers.shared_scratch(gemm.shared_bytes()));
}

// Row-major matrices as operands: [lanes, depth] and [depth, lanes].
template <class T>
WW_INLINE Operand<T> rows_as_lanes(const T* data, int64_t lanes, int64_t depth, int64_t stride) {
  return {data, lanes, stride, 1, data + (lanes - 1) * stride + depth};
}
template <class T>
WW_INLINE Operand<T> columns_as_lanes(const T* data, int64_t lanes, int64_t depth, int64_t stride) {
  return {data, lanes, 1, stride, data + (depth - 1) * stride + lanes};
}

}  // namespace ww::cpu::WW_ISA
