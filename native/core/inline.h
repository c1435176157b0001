#pragma once

// Headers that kernels include are compiled once per instruction set. An inline function that the compiler left out of
// line there would be merged by the linker across instruction sets, so such functions are always inlined.
#define WW_INLINE inline __attribute__((always_inline))

#ifdef __CUDACC__
#define WW_HOST_DEVICE __host__ __device__
#else
#define WW_HOST_DEVICE
#endif
