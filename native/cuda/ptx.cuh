#pragma once

// The PTX that kernels use, as functions: the instruction under nvcc, its meaning under the emulator (test/simt/ptx.h).

#include "native/cuda/kernel.cuh"

#ifdef WW_EMULATED
#include "test/simt/ptx.h"
#else

#define WW_PTX __device__ __forceinline__
#define WW_DYNAMIC_SHARED(T, name)                                     \
  extern __shared__ __align__(1024) unsigned char ww_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(ww_dynamic_shared)

namespace ww::cuda::ptx {

WW_PTX uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

// d = a b + c over a warp: a is 16x16 by rows, b 16x8 by columns, c and d 16x8. With g = lane / 4, t = lane % 4:
// a[0] (g, 2t..) a[1] (g+8, 2t..) a[2] (g, 2t+8..) a[3] (g+8, 2t+8..); b[0] (2t.., g) b[1] (2t+8.., g);
// c[0], c[1] (g, 2t..) c[2], c[3] (g+8, 2t..).
WW_PTX void mma_m16n8k16_bf16(float d[4], const uint32_t a[4], const uint32_t b[2], const float c[4]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

// Four 8x8 matrices of 16-bit elements; lane l gives the address of row l % 8 of matrix l / 8.
WW_PTX void ldmatrix_x4(uint32_t r[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
WW_PTX void ldmatrix_x4_trans(uint32_t r[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

// Copies 16 bytes to shared memory, zeros where !valid (src is then not read).
WW_PTX void cp_async_16(void* dst, const void* src, bool valid = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(dst)),
               "l"(__cvta_generic_to_global(src)), "r"(valid ? 16 : 0)
               : "memory");
}
WW_PTX void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N>
WW_PTX void cp_async_wait_group() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

}  // namespace ww::cuda::ptx

#endif
