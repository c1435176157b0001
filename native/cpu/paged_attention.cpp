#include "native/kernels/paged_attention.h"

#include "native/cpu/attention_tiles.h"
#include "native/cpu/paged_groups.h"
#include "native/cpu/softmax_sums.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kTokensPerTask = 16;
constexpr int64_t kGroupRows = 128;         // of a group, where a single token has not more
constexpr int64_t kMostPartials = 1 << 24;  // floats of partial results that a call keeps

// What a thread works in. W as in Attention.
template <class W>
struct Scratch {
  float* q;            // words of [rows, D]
  float* keys;         // words of [D, kBlock]
  float* values;       // [kBlock, padded]
  float* scores;       // [kTileRows, kBlock]; then their probabilities
  float *part, *all;   // Sums, of a block and of all
  int64_t* places[2];  // [kBlock]: where in the cache a key begins, of even and of odd blocks
  int64_t bytes;

  Scratch(void* memory, int64_t rows, int64_t D, int64_t padded) {
    Pieces pieces(memory);
    q = pieces.take<float>(rows * D);
    keys = pieces.take<float>(D * kBlock);
    values = pieces.take<float>(kBlock * padded);
    scores = pieces.take<float>(kTileRows * kBlock);
    part = pieces.take<float>(Sums::size(rows, padded));
    all = pieces.take<float>(Sums::size(rows, padded));
    for (int64_t*& of_block : places) of_block = pieces.take<int64_t>(kBlock);
    bytes = pieces.bytes();
  }
};

// The keys of a block that the rows of a group see, counted from the block's first.
struct Range {
  int64_t begin, end;
};

// Numbers are T in memory; scores are products of words of W.
template <class T, class W>
class Attention {
 public:
  Attention(const PagedAttention& args, int64_t rows)
      : a_(args),
        M_(args.qkv.dims[1]),
        H_(args.y.dims[1]),
        D_(args.qkv.dims[2]),
        K_(args.k_cache.dims[1]),
        G_(H_ / K_),
        most_rows_(rows),
        padded_(round_up(D_, kLanes)),
        words_(D_ / kPerWord<W>) {}

  int64_t scratch_bytes() const { return Scratch<W>(nullptr, most_rows_, D_, padded_).bytes; }

  // All blocks of a key head, or the one of a task whose group has partials.
  void run(const Task& task, int64_t g, void* memory) const {
    const Scratch<W> scratch(memory, most_rows_, D_, padded_);
    const Group& group = *task.group;
    const int64_t rows = group.count * G_;
    pack_queries(group, g, scratch.q);
    if (group.partials != nullptr) return attend(group, g, task.block, scratch, partial(group, g, task.block));
    const Sums part(scratch.part, rows, padded_), all(scratch.all, rows, padded_);
    all.clear(rows);
    for (int64_t block = group.first_block; block < group.first_block + group.blocks; ++block) {
      attend(group, g, block, scratch, part);
      for (int64_t r = 0; r < rows; ++r) join_row(all, part, r);
    }
    write(group, g, all);
  }

  // The partials of a group and a key head become the result.
  void join(const Group& group, int64_t g, void* memory) const {
    const int64_t rows = group.count * G_;
    const Sums all(Scratch<W>(memory, most_rows_, D_, padded_).all, rows, padded_);
    all.clear(rows);
    for (int64_t block = group.first_block; block < group.first_block + group.blocks; ++block) {
      const Sums part = partial(group, g, block);
      for (int64_t r = 0; r < rows; ++r) join_row(all, part, r);
    }
    write(group, g, all);
  }

 private:
  Sums partial(const Group& group, int64_t g, int64_t block) const {
    const int64_t rows = group.count * G_, i = g * group.blocks + block - group.first_block;
    return Sums(group.partials + i * Sums::size(rows, padded_), rows, padded_);
  }

  // What row r sees of the block that begins at key `start`; nothing if end <= begin.
  Range range(const Group& group, int64_t start, int64_t r) const {
    const int64_t position = group.position + r / G_;
    return {max(0, first_key(a_, position) - start), min(kBlock, position + 1 - start)};
  }

  void pack_queries(const Group& group, int64_t g, float* q) const {
    for (int64_t r = 0; r < group.count * G_; ++r) {
      const T* from = a_.qkv.as<const T>() + ((group.token + r / G_) * M_ + g * G_ + r % G_) * D_;
      float* to = q + r * words_;
      for (int64_t w = 0; w < words_; w += kLanes) {
        store(to + w, load_words(from + w * kPerWord<W>, words_ - w), min(kLanes, words_ - w));
      }
    }
  }

  // Of n words those that a vector holds, zeros behind them: a free slot may hold NaN, and none is read.
  static WW_INLINE Vec load_words(const T* from, int64_t n) {
    if constexpr (kPerWord<W> == 1) return load_channels(from, n);
    return load_channels(reinterpret_cast<const float*>(from), n);
  }

  // Where the keys of a block that the group sees lie in the cache; the first one's place stands for those it does not.
  Range locate(const Group& group, int64_t g, int64_t block, int64_t* places) const {
    const int64_t start = block * kBlock;
    const Range keys = {range(group, start, 0).begin, range(group, start, group.count * G_ - 1).end};
    const int32_t* pages = a_.pages.as<int32_t>() + group.sequence * a_.pages.dims[1];
    for (int64_t j = keys.begin; j < keys.end;) {
      const int64_t key = start + j, in_page = key % a_.page_size;
      const int64_t slot = pages[key / a_.page_size] * a_.page_size + in_page;
      const int64_t count = min(keys.end - j, a_.page_size - in_page);
      for (int64_t i = 0; i < count; ++i, ++j) places[j] = ((slot + i) * K_ + g) * D_;
    }
    for (int64_t j = 0; j < keys.begin; ++j) places[j] = places[keys.begin];
    for (int64_t j = keys.end; j < kBlock; ++j) places[j] = places[keys.begin];
    return keys;
  }

  // to[w, j] = word w of key j; zeros in the lanes beside keys [begin, end).
  void pack_keys(const int64_t* places, Range keys, float* to) const {
    for (int64_t j = keys.begin / kLanes * kLanes; j < keys.end; j += kLanes) {
      const bool is_whole = j >= keys.begin && j + kLanes <= keys.end;
      int64_t w = 0;
      for (; is_whole && w + kLanes <= words_; w += kLanes) pack_key_tile<true>(places, keys, j, w, to);
      for (; w < words_; w += kLanes) pack_key_tile<false>(places, keys, j, w, to);
    }
  }

  // Words w.. of keys j.., as many of each as a vector has lanes where the tile is whole. The values are needed next.
  template <bool kWhole>
  void pack_key_tile(const int64_t* places, Range keys, int64_t j, int64_t w, float* to) const {
    const T* cache = a_.k_cache.as<const T>() + w * kPerWord<W>;
    const T* values = a_.v_cache.as<const T>() + w * kPerWord<W>;
    const int64_t n = kWhole ? kLanes : min(kLanes, words_ - w);
    Vec tile[kLanes];
#pragma GCC unroll 16
    for (int64_t i = 0; i < kLanes; ++i) {
      const bool is_there = kWhole || (j + i >= keys.begin && j + i < keys.end);
      __builtin_prefetch(values + places[j + i]);
      tile[i] = is_there ? load_words(cache + places[j + i], n) : zero();
    }
    transpose(tile);
    if constexpr (kWhole) {
#pragma GCC unroll 16
      for (int64_t i = 0; i < kLanes; ++i) store(to + (w + i) * kBlock + j, tile[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) store(to + (w + i) * kBlock + j, tile[i]);
    }
  }

  void pack_values(const int64_t* places, Range keys, float* to) const {
    const T* cache = a_.v_cache.as<const T>();
    for (int64_t j = keys.begin; j < keys.end; ++j) {
      for (int64_t d = 0; d < D_; d += kLanes) {
        store(to + j * padded_ + d, load_channels(cache + places[j] + d, D_ - d));
      }
    }
  }

  // The sums of every row over one block of keys.
  void attend(const Group& group, int64_t g, int64_t block, const Scratch<W>& scratch, const Sums& sums) const {
    const int64_t rows = group.count * G_, start = block * kBlock;
    sums.clear(rows);
    int64_t first = 0, last = rows;  // the rows that see any of it
    const auto sees_none = [&](int64_t r) {
      const Range seen = range(group, start, r);
      return seen.begin >= seen.end;
    };
    while (first < last && sees_none(first)) ++first;
    while (first < last && sees_none(last - 1)) --last;
    if (first == last) return;

    int64_t* const places = scratch.places[block % 2];
    const Range keys = locate(group, g, block, places);
    pack_keys(places, keys, scratch.keys);
    const int64_t tiles = ceil_div(last - first, kTileRows);
    if (tiles == 1) {  // values that are read once are not worth packing
      int64_t* const next_places = scratch.places[(block + 1) % 2];
      // What is next here: the head's next block; of tasks of one block the next head's, which lies beside it.
      const bool is_beside = group.partials != nullptr && g + 1 < K_;
      const int64_t next_block = is_beside ? block : block + 1;
      const int64_t next_head = group.partials == nullptr ? g : (g + 1) % K_;
      const bool goes_on = next_block < group.first_block + group.blocks;
      if (goes_on) locate(group, next_head, next_block, next_places);
      const CachedValues<T> values{a_.v_cache.as<const T>(), a_.k_cache.as<const T>(), places,
                                   goes_on ? next_places : places, D_};
      return attend_tile(group, start, first, last, scratch, values, sums);
    }
    pack_values(places, keys, scratch.values);
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t begin = first + (last - first) * tile / tiles, end = first + (last - first) * (tile + 1) / tiles;
      attend_tile(group, start, begin, end, scratch, PackedValues{scratch.values, padded_}, sums);
    }
  }

  // Rows [begin, end), at most kTileRows. Scores of keys that a row does not see are computed and then left out.
  template <class Values>
  void attend_tile(const Group& group, int64_t start, int64_t begin, int64_t end, const Scratch<W>& scratch,
                   const Values& values, const Sums& sums) const {
    const Range first = range(group, start, begin), last = range(group, start, end - 1);
    int64_t j = first.begin / kLanes * kLanes;
    Product product{
        end - begin, words_, scratch.q + begin * words_, words_, scratch.keys + j, kBlock, scratch.scores + j,
        kBlock,      false};
    const auto advance = [&](int64_t lanes) {
      j += lanes;
      product.b += lanes;
      product.c += lanes;
    };
    for (; j + kLanes < last.end; advance(2 * kLanes)) multiply<W, By::rows, Vec, 2>(product);
    if (j < last.end) multiply<W, By::rows, Vec, 1>(product);

    for (int64_t r = begin; r < end; ++r) {
      const Range seen = range(group, start, r);
      float* scores = scratch.scores + (r - begin) * kBlock;
      softmax_row(scores, seen.begin, seen.end, a_.scale * kLog2E, sums.top + r, sums.total + r);
    }

    // Together what all of them see, and row by row what is before and behind.
    const Range all = last.begin < first.end ? Range{last.begin, first.end} : Range{first.begin, first.begin};
    const auto add = [&](int64_t r, int64_t rows, int64_t from, int64_t to) {
      add_values(rows, scratch.scores + (r - begin) * kBlock, values, from, to, padded_, sums.y + r * padded_);
    };
    for (int64_t r = begin; r < end; ++r) add(r, 1, range(group, start, r).begin, all.begin);
    add(begin, end - begin, all.begin, all.end);
    for (int64_t r = begin; r < end; ++r)
      add(r, 1, max(all.end, range(group, start, r).begin), range(group, start, r).end);
  }

  void write(const Group& group, int64_t g, const Sums& sums) const {
    for (int64_t r = 0; r < group.count * G_; ++r) {
      T* to = a_.y.as<T>() + ((group.token + r / G_) * H_ + g * G_ + r % G_) * D_;
      const float factor = 1.0f / sums.total[r];
      for (int64_t d = 0; d < D_; d += kLanes) {
        store_channels(to + d, load(sums.y + r * padded_ + d) * factor, D_ - d);
      }
    }
  }

  const PagedAttention& a_;
  int64_t M_, H_, D_, K_, G_, most_rows_, padded_, words_;
};

}  // namespace

void compute(const KvCacheWrite& a, Workers& workers) {
  const int64_t T = a.qkv.dims[0], M = a.qkv.dims[1], D = a.qkv.dims[2], N = a.k_cache.dims[0], K = a.k_cache.dims[1];
  check_indices("slots", a.slots, N);
  const int64_t head_bytes = D * dtype_bytes(a.qkv.dtype);
  const char* qkv = a.qkv.as<const char>();
  for_each_row(workers, T, kTokensPerTask, [&](int64_t t, int) {
    const char* keys = qkv + (t * M + M - 2 * K) * head_bytes;
    const int64_t slot = a.slots.as<int32_t>()[t] * K * head_bytes;
    __builtin_memcpy(a.k_cache.as<char>() + slot, keys, K * head_bytes);
    __builtin_memcpy(a.v_cache.as<char>() + slot, keys + K * head_bytes, K * head_bytes);
  });
}

void compute(const PagedAttention& a, Workers& workers) {
  const int64_t H = a.y.dims[1], D = a.qkv.dims[2], K = a.k_cache.dims[1], G = H / K;
  check_indices("sequences", a.sequences, a.pages.dims[0]);
  check_indices("positions", a.positions, a.pages.dims[1] * a.page_size);
  const int64_t tokens = max(1, kGroupRows / G), padded = round_up(D, kLanes);
  int64_t num_groups = 0, all_blocks = 0;
  for_each_group(a, tokens, [&](const Group& group) {
    check_pages(a, group);
    ++num_groups;
    all_blocks += group.blocks * K;
  });

  // Where a thread would have too little to do beside a group's blocks, they are tasks of their own.
  int64_t num_tasks = 0, num_partials = 0;
  const auto partials_of = [&](const Group& group) {
    const int64_t size = round_up(K * group.blocks * Sums::size(group.count * G, padded), kLanes);
    const bool is_long = group.blocks > 1 && 2 * group.blocks * workers.threads() > all_blocks;
    return workers.threads() > 1 && is_long && num_partials + size <= kMostPartials ? size : 0;
  };
  for_each_group(a, tokens, [&](const Group& group) {
    const int64_t size = partials_of(group);
    num_tasks += size > 0 ? group.blocks : 1;
    num_partials += size;
  });

  struct Shared {
    Group* groups;
    Task* tasks;
    float* partials;
    int64_t bytes;

    Shared(void* memory, int64_t num_groups, int64_t num_tasks, int64_t num_partials) {
      Pieces pieces(memory);
      groups = pieces.take<Group>(num_groups);
      tasks = pieces.take<Task>(num_tasks);
      partials = pieces.take<float>(num_partials);
      bytes = pieces.bytes();
    }
  };
  const int64_t shared_bytes = Shared(nullptr, num_groups, num_tasks, num_partials).bytes;
  const Shared shared(workers.shared_scratch(shared_bytes), num_groups, num_tasks, num_partials);
  num_groups = num_tasks = num_partials = 0;
  for_each_group(a, tokens, [&](const Group& found) {
    Group& group = shared.groups[num_groups++] = found;
    const int64_t size = partials_of(group);
    if (size > 0) group.partials = shared.partials + num_partials;
    num_partials += size;
    for (int64_t i = 0; i < (size > 0 ? group.blocks : 1); ++i) {
      shared.tasks[num_tasks++] = {&group, group.first_block + i};
    }
  });

  const auto run = [&]<class T, class W>() {
    const Attention<T, W> attention(a, tokens * G);
    const int64_t bytes = attention.scratch_bytes();
    for (int thread = 0; thread < workers.threads(); ++thread) workers.scratch(thread, bytes);
    workers.parallel_for(num_tasks * K, [&](int64_t task, int thread) {
      attention.run(shared.tasks[task / K], task % K, workers.scratch(thread, bytes));
    });
    if (num_partials == 0) return;
    workers.parallel_for(num_groups * K, [&](int64_t task, int thread) {
      const Group& group = shared.groups[task / K];
      if (group.partials != nullptr) attention.join(group, task % K, workers.scratch(thread, bytes));
    });
  };
  dispatch_float(a.qkv.dtype, [&]<class T>() {
    if (D % kPerWord<T> == 0) return run.template operator()<T, T>();
    run.template operator()<T, float>();  // no whole words
  });
}

}  // namespace ww::cpu::WW_ISA
