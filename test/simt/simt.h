// SIMT emulator: compiles CUDA C++ kernel sources with a host compiler and runs them on a CPU. Every CUDA thread
// ("lane") of a block is a fiber; a block runs on one OS thread, blocks are spread over OS threads. simt.cpp holds the
// scheduler and is compiled without sanitizers; kernels may be compiled plain, with -fsanitize=address or =thread.
#pragma once
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include <cuda_bf16.h>
#include <vector_functions.h>
#include <vector_types.h>

// host_defines.h makes the qualifiers empty for a host compiler. Shared variables are one per block, and a block stays
// on its OS thread, so thread_local storage is right for them.
#undef __shared__
#define __shared__ static thread_local
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __align__
#define __align__(n) alignas(n)
#undef __grid_constant__
#define __grid_constant__
#define WW_DYNAMIC_SHARED(T, name) T* const name = reinterpret_cast<T*>(simt::dynamic_shared())

inline constinit thread_local uint3 threadIdx{}, blockIdx{};
inline constinit thread_local dim3 blockDim{1, 1, 1}, gridDim{1, 1, 1};
inline constexpr int warpSize = 32;

namespace simt {

using Where = std::source_location;

struct Options {
  uint64_t seed = 0;   // 0: lanes in order. Odd: random lane at every switch. Even: random warps starve the others.
  int os_threads = 0;  // 0: one per core
};
inline Options options;

struct AsyncCopy {
  void* dst;
  const void* src;  // null: zeros
  unsigned group;
};
struct AsyncQueue {
  std::vector<AsyncCopy> copies;
  unsigned open_group = 0;
};

unsigned char* dynamic_shared();
AsyncQueue& async_queue();  // of the calling lane
int lane_id();
uint64_t switch_count();
uint64_t block_serial();  // another number for every block that ran
[[noreturn]] void fail(const char* message);  // ends the launch; names kernel, block and thread

// Waits until every live lane of `mask` is here (same operation, same source line); the last one runs `op` for all.
void collective(unsigned mask, const char* what, const Where& where, void* args, void (*op)(void* const*, unsigned));
void block_barrier(const char* what, const Where& where);
void yield();

// Asynchronous work of a block (TMA): runs at some later switch, at the latest when nothing else can run.
void defer(std::function<void()> work);
// Blocks the lane until ready(arg); the condition is only tried by the scheduler, so that a deadlock is seen.
void wait_until(const char* what, const Where& where, bool (*ready)(const void*), const void* arg);
void acquire(const void* p);  // orderings that ThreadSanitizer is to know of
void release(const void* p);

void run_grid(const char* name, dim3 grid, dim3 block, size_t shared_bytes, void (*body)(void*), void* arg);

template <class... Params, class... Args>
void launch(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes, Args... args) {
  std::tuple<Params...> packed(args...);
  auto body = [&] { std::apply(kernel, packed); };
  run_grid(name, grid, block, shared_bytes, [](void* f) { (*static_cast<decltype(body)*>(f))(); }, &body);
}

template <class Args, void (*kOp)(Args* const*, unsigned)>
void collective(unsigned mask, const char* what, const Where& where, Args& args) {
  collective(mask, what, where, &args,
             [](void* const* lanes, unsigned m) { kOp(reinterpret_cast<Args* const*>(lanes), m); });
}

template <class T>
struct Shuffle {
  T in, out;
  int source;
};

template <class T>
void shuffle_op(Shuffle<T>* const* lanes, unsigned mask) {
  for (int i = 0; i < 32; ++i) {
    if (!(mask >> i & 1)) continue;
    const int s = lanes[i]->source;
    // A value read from a lane outside the mask is undefined: make it visibly so.
    if (mask >> s & 1)
      lanes[i]->out = lanes[s]->in;
    else
      std::memset(&lanes[i]->out, 0xff, sizeof(T));
  }
}

template <class T>
T shuffle(unsigned mask, T value, int source, const char* what, const Where& where) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  Shuffle<T> args{value, value, source};
  collective<Shuffle<T>, shuffle_op<T>>(mask, what, where, args);
  return args.out;
}

template <class T>
struct Fold {
  T in, out;
};

template <class T>
void add_op(Fold<T>* const* lanes, unsigned mask) {
  T sum = 0;
  for (int i = 0; i < 32; ++i)
    if (mask >> i & 1) sum += lanes[i]->in;
  for (int i = 0; i < 32; ++i)
    if (mask >> i & 1) lanes[i]->out = sum;
}

template <class T, bool kMax>
void extreme_op(Fold<T>* const* lanes, unsigned mask) {
  T best = lanes[__builtin_ctz(mask)]->in;
  for (int i = 0; i < 32; ++i) {
    if ((mask >> i & 1) && (kMax ? lanes[i]->in > best : lanes[i]->in < best)) best = lanes[i]->in;
  }
  for (int i = 0; i < 32; ++i)
    if (mask >> i & 1) lanes[i]->out = best;
}

inline void ballot_op(Fold<unsigned>* const* lanes, unsigned mask) {
  unsigned votes = 0;
  for (int i = 0; i < 32; ++i)
    if ((mask >> i & 1) && lanes[i]->in) votes |= 1u << i;
  for (int i = 0; i < 32; ++i)
    if (mask >> i & 1) lanes[i]->out = votes;
}

template <class T, void (*kOp)(Fold<T>* const*, unsigned)>
T fold(unsigned mask, T in, const char* what, const Where& where) {
  Fold<T> args{in, in};
  collective<Fold<T>, kOp>(mask, what, where, args);
  return args.out;
}

}  // namespace simt

#define SIMT_HERE simt::Where where = simt::Where::current()

inline void __syncthreads(SIMT_HERE) { simt::block_barrier("__syncthreads", where); }
inline int __syncthreads_or(int predicate, SIMT_HERE) {
  static thread_local int any;
  simt::block_barrier("__syncthreads_or", where);
  if (threadIdx.x == 0 && threadIdx.y == 0 && threadIdx.z == 0) any = 0;
  simt::block_barrier("__syncthreads_or", where);
  if (predicate) any = 1;
  simt::block_barrier("__syncthreads_or", where);
  return any;
}
inline void __syncwarp(unsigned mask = ~0u, SIMT_HERE) {
  simt::collective(mask, "__syncwarp", where, nullptr, nullptr);
}

template <class T>
T __shfl_sync(unsigned mask, T v, int source, int width = 32, SIMT_HERE) {
  const int base = simt::lane_id() & ~(width - 1);
  return simt::shuffle(mask, v, base | (source & (width - 1)), "__shfl_sync", where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, SIMT_HERE) {
  const int lane = simt::lane_id(), source = lane ^ bits;
  return simt::shuffle(mask, v, source >= (lane | (width - 1)) + 1 ? lane : source, "__shfl_xor_sync", where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMT_HERE) {
  const int lane = simt::lane_id(), source = lane + int(delta);
  return simt::shuffle(mask, v, source > (lane | (width - 1)) ? lane : source, "__shfl_down_sync", where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMT_HERE) {
  const int lane = simt::lane_id(), source = lane - int(delta);
  return simt::shuffle(mask, v, source < (lane & ~(width - 1)) ? lane : source, "__shfl_up_sync", where);
}
inline unsigned __ballot_sync(unsigned mask, int p, SIMT_HERE) {
  return simt::fold<unsigned, simt::ballot_op>(mask, p != 0, "__ballot_sync", where);
}
inline int __any_sync(unsigned mask, int p, SIMT_HERE) {
  return simt::fold<unsigned, simt::ballot_op>(mask, p != 0, "__any_sync", where) != 0;
}
inline int __all_sync(unsigned mask, int p, SIMT_HERE) {
  return simt::fold<unsigned, simt::ballot_op>(mask, p == 0, "__all_sync", where) == 0;
}
template <class T>
T __reduce_add_sync(unsigned mask, T v, SIMT_HERE) {
  return simt::fold<T, simt::add_op<T>>(mask, v, "__reduce_add_sync", where);
}
template <class T>
T __reduce_max_sync(unsigned mask, T v, SIMT_HERE) {
  return simt::fold<T, simt::extreme_op<T, true>>(mask, v, "__reduce_max_sync", where);
}
template <class T>
T __reduce_min_sync(unsigned mask, T v, SIMT_HERE) {
  return simt::fold<T, simt::extreme_op<T, false>>(mask, v, "__reduce_min_sync", where);
}

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  return std::atomic_ref<T>(*p).fetch_add(v, std::memory_order_relaxed);
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  std::atomic_ref<T> ref(*p);
  T old = ref.load();
  while (old < v && !ref.compare_exchange_weak(old, v)) {
  }
  return old;
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> desired) {
  std::atomic_ref<T>(*p).compare_exchange_strong(expected, desired);
  return expected;
}
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }

template <class T>
T __ldg(const T* p) {
  return *p;
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
// The C library declares functions of these names, so they have to be macros.
#define __expf(x) expf(x)
#define __logf(x) logf(x)
#define __exp10f(x) exp10f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
inline float __fdividef(float a, float b) { return a / b; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
template <class T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
  return a < b ? b : a;
}
