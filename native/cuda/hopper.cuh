#pragma once

// What Hopper (sm_90a) adds, as functions like those of ptx.cuh: barriers in shared memory that count bytes, tile loads
// by a copy engine (TMA), and products of a warpgroup (wgmma: 128 threads, operands in shared memory).
//
// A tile is `rows` rows of 64 bf16, 128 bytes each, its 16-byte chunks permuted: chunk c of row r lies at c ^ (r % 8).
// Tiles start at multiples of 1024 bytes of shared memory. Wider rows are several tiles, one after the other.

#include "native/cuda/ptx.cuh"

#ifdef WW_EMULATED
#include "test/simt/hopper.h"
#define WW_HOPPER_CODE 1
#else
#include <cuda.h>

// The body of a Hopper kernel stands between #if WW_HOPPER_CODE and #else __trap();: the file compiles for other GPUs.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define WW_HOPPER_CODE 1
#else
#define WW_HOPPER_CODE 0
#pragma nv_diag_suppress 177  // "declared but never referenced": whatever only Hopper's code uses
#endif

namespace ww::cuda::ptx {

using TensorMap = CUtensorMap;  // a kernel takes it as const __grid_constant__ ptx::TensorMap

// Describes base[rows, heads, columns] (bf16, contiguous, a multiple of 8 columns, 16-byte aligned) and the tile that
// one tma_load takes from it: 64 columns of one head, `tile_rows` <= 256 rows. False if the driver refuses.
inline bool make_tensor_map(TensorMap* map, const bf16* base, int64_t rows, int64_t heads, int64_t columns,
                            int tile_rows) {
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult result;
#if CUDART_VERSION >= 12050
    const cudaError_t status =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &result);
#else
    const cudaError_t status = cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &entry, cudaEnableDefault, &result);
#endif
    return status == cudaSuccess && result == cudaDriverEntryPointSuccess ? reinterpret_cast<Encode>(entry) : nullptr;
  }();
  if (encode == nullptr) return false;
  const cuuint64_t sizes[3] = {cuuint64_t(columns), cuuint64_t(heads), cuuint64_t(rows)};
  const cuuint64_t strides[2] = {cuuint64_t(columns * 2), cuuint64_t(heads * columns * 2)};
  const cuuint32_t box[3] = {64, 1, cuuint32_t(tile_rows)}, steps[3] = {1, 1, 1};
  return encode(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, const_cast<bf16*>(base), sizes, strides, box, steps,
                CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

// A barrier's phase ends when `count` threads have arrived and all expected bytes have come; the next one begins by
// itself. mbarrier_wait(b, p) returns once the phase of parity p is over: 0 for the first, 1 for the second, 0 ...;
// parity 1 before the first phase is over returns at once.
WW_PTX void mbarrier_init(uint64_t* barrier, unsigned count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count) : "memory");
}
// After mbarrier_init, by the thread that called it and before __syncthreads: makes them known to the copy engine.
WW_PTX void fence_mbarrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
WW_PTX void mbarrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
WW_PTX void mbarrier_arrive_expect(uint64_t* barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}
WW_PTX void mbarrier_wait(uint64_t* barrier, unsigned parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra over;\n"
      "bra again;\n"
      "over:\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}

// One thread loads the tile whose first element is (row, head, column) and adds its bytes to the barrier's count.
// What lies outside of the tensor is zero, and counted.
WW_PTX void tma_load(void* tile, const TensorMap* map, uint64_t* barrier, int column, int head, int row) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::
          "r"(shared_address(tile)),
      "l"(map), "r"(shared_address(barrier)), "r"(column), "r"(head), "r"(row)
      : "memory");
}
WW_PTX void prefetch_tensor_map(const TensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
// As tma_load, for `bytes` contiguous bytes; addresses and count are multiples of 16.
WW_PTX void bulk_load(void* to, const void* from, uint64_t* barrier, unsigned bytes) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(barrier))
               : "memory");
}

// Barriers 1 to 15 of a block, for `threads` threads: those that sync wait for those that sync or arrive.
WW_PTX void named_barrier_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
WW_PTX void named_barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// Registers of each thread of this warpgroup; all of its warps call it.
template <int kRegisters>
WW_PTX void raise_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
WW_PTX void lower_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// 2^x, subnormal results as zero.
WW_PTX float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Where an operand of wgmma lies: its first row and column (a multiple of 16) in a tile. A row of the tile is a row of
// the operand (its 64 columns along K) or, transposed, 64 of its rows for one K; then `next_bytes` lead to the tile
// with the next 64 rows. Adding n to a descriptor moves it by 16 n bytes.
WW_PTX uint64_t wgmma_descriptor(const void* tile, unsigned next_bytes = 16) {
  constexpr uint64_t kEightRows = 1024 >> 4, kSwizzle128 = 1;
  return uint64_t(shared_address(tile) >> 4 & 0x3fff) | uint64_t(next_bytes >> 4) << 16 | kEightRows << 32 |
         kSwizzle128 << 62;
}

// Products are issued between wgmma_fence and wgmma_commit, which makes a group of them. Registers of a product may be
// touched again after wgmma_wait<n>, when at most the n last groups are unfinished; wgmma_fence comes between other
// accesses to its registers and a product. keep(x) after the wait tells the compiler that x was in use until there.
WW_PTX void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
WW_PTX void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kUnfinished>
WW_PTX void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kUnfinished) : "memory");
}
template <int kSize>
WW_PTX void keep(float (&x)[kSize]) {
#pragma unroll
  for (int i = 0; i < kSize; ++i) asm volatile("" : "+f"(x[i])::"memory");
}
template <int kSize>
WW_PTX void keep(uint32_t (&x)[kSize]) {
#pragma unroll
  for (int i = 0; i < kSize; ++i) asm volatile("" : "+r"(x[i])::"memory");
}

#define WW_FOUR(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define WW_SIXTEEN(d, i) WW_FOUR(d, i), WW_FOUR(d, i + 4), WW_FOUR(d, i + 8), WW_FOUR(d, i + 12)
#define WW_D32                                                                                                  \
  "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28," \
  "%29,%30,%31}, "
#define WW_D64                                                                                                  \
  "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28," \
  "%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,"    \
  "%55,%56,%57,%58,%59,%60,%61,%62,%63}, "

// d[64, N] = a[64, 16] b[N, 16]^T + (add ? d : 0) with N = 64 or 128. Warp w of the warpgroup holds rows 16 w and on of
// d; with g = lane / 4 and t = lane % 4, d[4 j] and d[4 j + 1] are row g, columns 8 j + 2 t and the next; d[4 j + 2]
// and d[4 j + 3] the same of row g + 8. b is transposed where kTransposed (a tile row is then one k). Here a is a
// descriptor.
template <bool kTransposed, int kSize>
WW_PTX void wgmma(float (&d)[kSize], uint64_t a, uint64_t b, bool add) {
  static_assert(kSize == 32 || kSize == 64);
  if constexpr (kSize == 32) {
    asm volatile(
        "{\n.reg .pred add;\nsetp.ne.b32 add, %34, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " WW_D32 "%32, %33, add, 1, 1, 0, %35;\n}"
        : WW_SIXTEEN(d, 0), WW_SIXTEEN(d, 16)
        : "l"(a), "l"(b), "r"(int(add)), "n"(int(kTransposed))
        : "memory");
  } else {
    asm volatile(
        "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " WW_D64 "%64, %65, add, 1, 1, 0, %67;\n}"
        : WW_SIXTEEN(d, 0), WW_SIXTEEN(d, 16), WW_SIXTEEN(d, 32), WW_SIXTEEN(d, 48)
        : "l"(a), "l"(b), "r"(int(add)), "n"(int(kTransposed))
        : "memory");
  }
}

// The same with a in registers, two bf16 each, the first in the low half: a[0] (g, 2t..), a[1] (g + 8, 2t..),
// a[2] (g, 2t + 8..), a[3] (g + 8, 2t + 8..).
template <bool kTransposed, int kSize>
WW_PTX void wgmma(float (&d)[kSize], const uint32_t* a, uint64_t b, bool add) {
  static_assert(kSize == 32 || kSize == 64);
  if constexpr (kSize == 32) {
    asm volatile(
        "{\n.reg .pred add;\nsetp.ne.b32 add, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " WW_D32 "{%32, %33, %34, %35}, %36, add, 1, 1, %38;\n}"
        : WW_SIXTEEN(d, 0), WW_SIXTEEN(d, 16)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(add)), "n"(int(kTransposed))
        : "memory");
  } else {
    asm volatile(
        "{\n.reg .pred add;\nsetp.ne.b32 add, %69, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " WW_D64 "{%64, %65, %66, %67}, %68, add, 1, 1, %70;\n}"
        : WW_SIXTEEN(d, 0), WW_SIXTEEN(d, 16), WW_SIXTEEN(d, 32), WW_SIXTEEN(d, 48)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(add)), "n"(int(kTransposed))
        : "memory");
  }
}

#undef WW_FOUR
#undef WW_SIXTEEN
#undef WW_D32
#undef WW_D64

}  // namespace ww::cuda::ptx

#endif
