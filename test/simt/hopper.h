#pragma once

// What the instructions of native/cuda/hopper.cuh mean, for the emulator. Whatever runs by itself on the GPU (a
// transfer, a product) leaves NaN at its destination until it is over, and takes its operands only then.

#include "test/simt/ptx.h"

namespace ww::cuda::ptx {

struct TensorMap {
  const __nv_bfloat16* base;
  int64_t rows, heads, columns;
  int tile_rows;
};

inline bool make_tensor_map(TensorMap* map, const __nv_bfloat16* base, int64_t rows, int64_t heads, int64_t columns,
                            int tile_rows) {
  if (reinterpret_cast<uintptr_t>(base) % 16 || columns % 8 || tile_rows > 256 || rows == 0) return false;
  *map = {base, rows, heads, columns, tile_rows};
  return true;
}

// An mbarrier fits its own 8 bytes: arrivals wanted and still missing, bytes still to come, phase.
struct Barrier {
  uint16_t wanted, missing;
  int32_t bytes : 31;
  uint32_t phase : 1;
};
static_assert(sizeof(Barrier) == 8);
inline Barrier read(const uint64_t* barrier) {
  return std::bit_cast<Barrier>(__atomic_load_n(barrier, __ATOMIC_RELAXED));
}
inline void write(uint64_t* barrier, Barrier b) {
  if (b.missing == 0 && b.bytes == 0) b.phase ^= 1, b.missing = b.wanted;
  __atomic_store_n(barrier, std::bit_cast<uint64_t>(b), __ATOMIC_RELAXED);
}
inline void mbarrier_init(uint64_t* barrier, unsigned count) {
  const Barrier b{uint16_t(count), uint16_t(count), 0, 0};
  __atomic_store_n(barrier, std::bit_cast<uint64_t>(b), __ATOMIC_RELAXED);
}
inline void fence_mbarrier_init() {}
inline void mbarrier_arrive_expect(uint64_t* barrier, unsigned bytes) {
  Barrier b = read(barrier);
  if (b.missing == 0 || b.missing > b.wanted) simt::fail("mbarrier: not initialised or too many arrivals");
  --b.missing, b.bytes += int(bytes);
  simt::release(reinterpret_cast<char*>(barrier) + b.phase);
  write(barrier, b);
}
inline void mbarrier_arrive(uint64_t* barrier) { mbarrier_arrive_expect(barrier, 0); }
inline void mbarrier_wait(uint64_t* barrier, unsigned parity, SIMT_HERE) {
  const auto even = [](const void* p) { return read(static_cast<const uint64_t*>(p)).phase == 1; };
  const auto odd = [](const void* p) { return read(static_cast<const uint64_t*>(p)).phase == 0; };
  if (parity == 0)
    simt::wait_until("mbarrier_wait for parity 0", where, even, barrier);
  else
    simt::wait_until("mbarrier_wait for parity 1", where, odd, barrier);
  simt::acquire(reinterpret_cast<char*>(barrier) + parity);
}
inline void complete(uint64_t* barrier, int bytes) {
  Barrier b = read(barrier);
  b.bytes -= bytes;
  simt::release(reinterpret_cast<char*>(barrier) + b.phase);
  write(barrier, b);
}

// Byte `offset` of shared memory, after the 128-byte swizzle: address bits 4-6 are xored with bits 7-9.
inline uint32_t swizzle_128(uint32_t offset) { return offset ^ (offset >> 7 & 7) << 4; }
inline uint32_t shared_offset(const void* p) {
  return uint32_t(static_cast<const unsigned char*>(p) - simt::dynamic_shared());
}

inline void tma_load(void* tile, const TensorMap* map, uint64_t* barrier, int column, int head, int row) {
  const uint32_t at = shared_offset(tile);
  if (at % 1024) simt::fail("TMA: a swizzled tile starts at a multiple of 1024 bytes");
  unsigned char* const base = simt::dynamic_shared();
  for (int i = 0; i < map->tile_rows * 8; ++i) fill16(base + at + i * 16, ~0ull);
  simt::defer([=, map = *map] {  // a copy: the map may be a parameter on the stack of the lane
    for (int r = 0; r < map.tile_rows; ++r) {
      for (int c = 0; c < 8; ++c) {
        const int64_t x = column + c * 8, y = int64_t(row) + r;
        unsigned char* const to = base + swizzle_128(at + r * 128 + c * 16);
        if (x < map.columns && y < map.rows && head < map.heads)
          copy16(to, map.base + (y * map.heads + head) * map.columns + x);
        else
          fill16(to, 0);
      }
    }
    complete(barrier, map.tile_rows * 128);
  });
}
inline void prefetch_tensor_map(const TensorMap*) {}
inline void bulk_load(void* to, const void* from, uint64_t* barrier, unsigned bytes) {
  if (reinterpret_cast<uintptr_t>(to) % 16 || reinterpret_cast<uintptr_t>(from) % 16 || bytes % 16) {
    simt::fail("bulk load not aligned to 16 bytes");
  }
  char* const d = static_cast<char*>(to);
  const char* const s = static_cast<const char*>(from);
  for (unsigned i = 0; i < bytes; i += 16) fill16(d + i, ~0ull);
  simt::defer([=] {
    for (unsigned i = 0; i < bytes; i += 16) copy16(d + i, s + i);
    complete(barrier, int(bytes));
  });
}

struct NamedBarrier {
  int arrived = 0;
  unsigned generation = 0;
};
struct NamedBarriers {
  uint64_t block = 0;
  NamedBarrier of[16];
};
inline NamedBarrier& named_barrier(int id) {
  static thread_local NamedBarriers all;
  if (all.block != simt::block_serial()) all = {simt::block_serial(), {}};
  if (id < 1 || id > 15) simt::fail("named barriers are 1 to 15");
  return all.of[id];
}
inline void named_barrier_arrive(int id, int threads) {
  NamedBarrier& b = named_barrier(id);
  simt::release(reinterpret_cast<char*>(&b) + b.generation % 2);
  if (++b.arrived == threads) b.arrived = 0, ++b.generation;
}
inline void named_barrier_sync(int id, int threads, SIMT_HERE) {
  struct Until {
    const NamedBarrier* barrier;
    unsigned generation;
  };
  NamedBarrier& b = named_barrier(id);
  const Until until{&b, b.generation};
  named_barrier_arrive(id, threads);
  const auto over = [](const void* p) {
    const Until& u = *static_cast<const Until*>(p);
    return u.barrier->generation != u.generation;
  };
  simt::wait_until("named_barrier_sync", where, over, &until);
  simt::acquire(reinterpret_cast<char*>(&b) + until.generation % 2);
}

template <int kRegisters>
void raise_registers() {}
template <int kRegisters>
void lower_registers() {}

inline float fast_exp2(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.0f : y;
}

inline uint64_t wgmma_descriptor(const void* tile, unsigned next_bytes = 16) {
  return uint64_t(shared_offset(tile) >> 4 & 0x3fff) | uint64_t(next_bytes >> 4) << 16 | uint64_t(64) << 32 |
         uint64_t(1) << 62;
}

// The products that a lane has in flight, and their accumulators' values. Every warp does its own 16 rows at the wait.
struct Product {
  int accumulators;
  uint64_t a, b;
  const uint32_t* registers;  // a, where not null
  bool add, transposed;
  unsigned group;
};
struct Accumulators {
  float* d = nullptr;
  int size, products;
  float held[64];
};
struct WgmmaQueue {
  uint64_t block = 0;
  std::vector<Product> products;
  Accumulators accumulators[4];
  unsigned open_group = 0;
  bool fenced = false;
};
inline WgmmaQueue& wgmma_queue() {
  static thread_local std::vector<WgmmaQueue> queues(1024);
  WgmmaQueue& q = queues[threadIdx.x];
  if (q.block != simt::block_serial()) q = {simt::block_serial(), {}, {}, 0, false};
  return q;
}

inline void wgmma_fence() { wgmma_queue().fenced = true; }
inline void wgmma_commit() { ++wgmma_queue().open_group; }
inline void issue(float* d, int size, Product product) {
  WgmmaQueue& q = wgmma_queue();
  if (!q.fenced) simt::fail("wgmma without a fence before it");
  int i = 0;
  while (i < 4 && q.accumulators[i].d != d) ++i;
  if (i == 4) {
    for (i = 0; i < 4 && q.accumulators[i].d != nullptr;) ++i;
    if (i == 4) simt::fail("wgmma on more than 4 sets of accumulators");
    q.accumulators[i].d = d, q.accumulators[i].size = size, q.accumulators[i].products = 0;
    std::copy_n(d, size, q.accumulators[i].held);
    std::fill_n(d, size, NAN);
  }
  product.accumulators = i, product.group = q.open_group;
  ++q.accumulators[i].products;
  q.products.push_back(product);
}
template <bool kTransposed, int kSize>
void wgmma(float (&d)[kSize], uint64_t a, uint64_t b, bool add) {
  issue(d, kSize, {0, a, b, nullptr, add, kTransposed, 0});
}
template <bool kTransposed, int kSize>
void wgmma(float (&d)[kSize], const uint32_t* a, uint64_t b, bool add) {
  issue(d, kSize, {0, 0, b, a, add, kTransposed, 0});
}

inline float element(uint64_t descriptor, bool transposed, int row, int k) {
  const uint32_t start = uint32_t(descriptor & 0x3fff) << 4, next = uint32_t(descriptor >> 16 & 0x3fff) << 4,
                 stride = uint32_t(descriptor >> 32 & 0x3fff) << 4;
  const uint32_t at = transposed ? start + row / 64 * next + k / 8 * stride + k % 8 * 128 + row % 64 * 2
                                 : start + row / 8 * stride + row % 8 * 128 + k * 2;
  using Half [[gnu::may_alias]] = uint16_t;
  return low(*reinterpret_cast<const Half*>(simt::dynamic_shared() + swizzle_128(at)));
}

struct WgmmaStep {
  const Product* product;
  float* d;
  int size, warp;
};
inline void wgmma_op(WgmmaStep* const* lanes, unsigned mask) {
  if (mask != ~0u) simt::fail("wgmma by part of a warp");
  const Product& p = *lanes[0]->product;
  const int columns = lanes[0]->size * 2;
  float a[16][16], b[16][128], d[16][128] = {};
  for (int k = 0; k < 16; ++k) {
    for (int i = 0; i < 16; ++i) {
      if (p.registers == nullptr) {
        a[i][k] = element(p.a, false, lanes[0]->warp * 16 + i, k);
      } else {
        const uint32_t pair = lanes[i % 8 * 4 + k % 8 / 2]->product->registers[i / 8 + k / 8 * 2];
        a[i][k] = k % 2 ? high(pair) : low(pair);
      }
    }
    for (int j = 0; j < columns; ++j) b[k][j] = element(p.b, p.transposed, j, k);
  }
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 16; ++k)
      for (int j = 0; j < columns; ++j) d[i][j] += a[i][k] * b[k][j];
  for (int lane = 0; lane < 32; ++lane) {
    float* const to = lanes[lane]->d;
    for (int j = 0; j < columns / 8; ++j) {
      for (int i = 0; i < 4; ++i) {
        const float value = d[lane / 4 + i / 2 * 8][j * 8 + lane % 4 * 2 + i % 2];
        to[j * 4 + i] = p.add ? to[j * 4 + i] + value : value;
      }
    }
  }
}

template <int kUnfinished>
void wgmma_wait(SIMT_HERE) {
  WgmmaQueue& q = wgmma_queue();
  if (!q.products.empty() && q.products.back().group == q.open_group) simt::fail("wgmma waited for but not committed");
  size_t done = 0;
  for (; done < q.products.size() && int(q.open_group - q.products[done].group) > kUnfinished; ++done) {
    Accumulators& c = q.accumulators[q.products[done].accumulators];
    WgmmaStep step{&q.products[done], c.held, c.size, int(threadIdx.x / 32 % 4)};
    simt::collective<WgmmaStep, wgmma_op>(~0u, "wgmma", where, step);
    if (--c.products > 0) continue;
    std::copy_n(c.held, c.size, c.d);
    c.d = nullptr;
  }
  q.products.erase(q.products.begin(), q.products.begin() + done);
  q.fenced = false;  // registers may be touched now
}
template <class T>
void keep(T&) {}

}  // namespace ww::cuda::ptx
