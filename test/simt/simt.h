#pragma once

// What a kernel source sees instead of the CUDA runtime when a host compiler compiles it.

#include <cuda_bf16.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "test/simt/engine.h"

// The toolkit's headers make the qualifiers empty for a host compiler. Shared variables are one for each block, and a
// block stays on its OS thread. AddressSanitizer watches what lies around static ones only: there is one thread then.
#undef __shared__
#ifdef WW_SANITIZED
#define __shared__ static
#else
#define __shared__ static thread_local
#endif
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __align__
#define __align__(n) alignas(n)
#undef __grid_constant__
#define __grid_constant__
#define WW_DYNAMIC_SHARED(T, name) T* const name = reinterpret_cast<T*>(simt::dynamic_shared())

extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace simt {

template <class T>
struct Shuffle {
  T in, out;
  int source;
};

// A value read from a lane outside of the mask is undefined: it is made visibly so.
template <class T>
void shuffle_lanes(Shuffle<T>* const* lanes, unsigned mask) {
  for (int lane = 0; lane < 32; ++lane) {
    if (!(mask >> lane & 1)) continue;
    const int source = lanes[lane]->source;
    if (mask >> source & 1) {
      lanes[lane]->out = lanes[source]->in;
    } else {
      std::memset(static_cast<void*>(&lanes[lane]->out), 0xff, sizeof(T));
    }
  }
}

template <class T>
T shuffle(unsigned mask, T value, int source, const char* what, const Where& where) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  Shuffle<T> args{value, value, source};
  collective<Shuffle<T>, shuffle_lanes<T>>(mask, what, where, args);
  return args.out;
}

template <class T>
struct Fold {
  T in, out;
};

template <class T, class Combine>
void fold_lanes(Fold<T>* const* lanes, unsigned mask) {
  const int first = std::countr_zero(mask);
  T result = lanes[first]->in;
  for (int lane = first + 1; lane < 32; ++lane) {
    if (mask >> lane & 1) result = Combine()(result, lanes[lane]->in);
  }
  for (int lane = 0; lane < 32; ++lane) {
    if (mask >> lane & 1) lanes[lane]->out = result;
  }
}

template <class Combine, class T>
T fold(unsigned mask, T value, const char* what, const Where& where) {
  Fold<T> args{value, value};
  collective<Fold<T>, fold_lanes<T, Combine>>(mask, what, where, args);
  return args.out;
}

struct Sum {
  template <class T>
  T operator()(T a, T b) const {
    return a + b;
  }
};
struct Least {
  template <class T>
  T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};
struct Greatest {
  template <class T>
  T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};
struct BitOr {
  template <class T>
  T operator()(T a, T b) const {
    return a | b;
  }
};

// Replaces *address by change(*address), in one step, and returns what was there.
template <class T, class Change>
T update(T* address, const Change& change) {
  std::atomic_ref<T> value(*address);
  T old = value.load();
  while (!value.compare_exchange_weak(old, change(old))) continue;
  return old;
}

}  // namespace simt

inline void __syncthreads(SIMT_HERE) { simt::block_barrier("__syncthreads", where); }
inline int __syncthreads_count(int predicate, SIMT_HERE) {
  return simt::block_barrier("__syncthreads_count", where, predicate);
}
inline int __syncthreads_or(int predicate, SIMT_HERE) {
  return simt::block_barrier("__syncthreads_or", where, predicate) > 0;
}
inline int __syncthreads_and(int predicate, SIMT_HERE) {
  return simt::block_barrier("__syncthreads_and", where, !predicate) == 0;
}
inline void __syncwarp(unsigned mask = ~0u, SIMT_HERE) {
  simt::collective(mask, "__syncwarp", where, nullptr, nullptr);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, SIMT_HERE) {
  const int first = simt::lane_id() & ~(width - 1);
  return simt::shuffle(mask, value, first | (source & (width - 1)), "__shfl_sync", where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, SIMT_HERE) {
  const int lane = simt::lane_id(), source = lane ^ bits;
  return simt::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, "__shfl_xor_sync", where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_HERE) {
  const int lane = simt::lane_id(), source = lane + static_cast<int>(delta);
  return simt::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, "__shfl_down_sync", where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_HERE) {
  const int lane = simt::lane_id(), source = lane - static_cast<int>(delta);
  return simt::shuffle(mask, value, source < (lane & ~(width - 1)) ? lane : source, "__shfl_up_sync", where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, SIMT_HERE) {
  return simt::fold<simt::BitOr>(mask, predicate ? 1u << simt::lane_id() : 0u, "__ballot_sync", where);
}
inline int __any_sync(unsigned mask, int predicate, SIMT_HERE) {
  return simt::fold<simt::Greatest>(mask, int(predicate != 0), "__any_sync", where);
}
inline int __all_sync(unsigned mask, int predicate, SIMT_HERE) {
  return simt::fold<simt::Least>(mask, int(predicate != 0), "__all_sync", where);
}
template <class T>
T __reduce_add_sync(unsigned mask, T value, SIMT_HERE) {
  return simt::fold<simt::Sum>(mask, value, "__reduce_add_sync", where);
}
template <class T>
T __reduce_max_sync(unsigned mask, T value, SIMT_HERE) {
  return simt::fold<simt::Greatest>(mask, value, "__reduce_max_sync", where);
}
template <class T>
T __reduce_min_sync(unsigned mask, T value, SIMT_HERE) {
  return simt::fold<simt::Least>(mask, value, "__reduce_min_sync", where);
}

template <class T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return simt::update(address, [=](T old) { return old + value; });
}
template <class T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return simt::update(address, [=](T old) { return old < value ? value : old; });
}
template <class T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return simt::update(address, [=](T old) { return value < old ? value : old; });
}
template <class T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return simt::update(address, [=](T old) { return old | value; });
}
template <class T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).exchange(value);
}
template <class T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> desired) {
  std::atomic_ref<T>(*address).compare_exchange_strong(expected, desired);
  return expected;
}
// Counts up to `last`, then starts again at 0.
inline unsigned atomicInc(unsigned* address, unsigned last) {
  return simt::update(address, [=](unsigned old) { return old >= last ? 0 : old + 1; });
}
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __nanosleep(unsigned) { simt::yield(); }
[[noreturn]] inline void __trap() { simt::fail("__trap()"); }

// Loads and stores with cache hints.
template <class T>
T __ldg(const T* address) {
  return *address;
}
template <class T>
T __ldcs(const T* address) {
  return *address;
}
template <class T>
T __ldcg(const T* address) {
  return *address;
}
template <class T>
void __stcs(T* address, std::type_identity_t<T> value) {
  *address = value;
}
template <class T>
void __stcg(T* address, std::type_identity_t<T> value) {
  *address = value;
}

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
// The C library declares functions of these names, so they have to be macros.
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __sincosf(x, s, c) sincosf(x, s, c)
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __frsqrt_rn(float x) { return 1.0f / std::sqrt(x); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
template <class T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}
