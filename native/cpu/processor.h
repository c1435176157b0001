#pragma once

#include <cstdint>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ww::cpu {

enum class Isa {
#define ISA(name) name,
#include "native/cpu/isa.def"
#undef ISA
};

const char* isa_name(Isa isa);
bool runs_here(Isa isa);
Isa best_isa();  // the fastest here

std::string processor_name();
int available_processors();  // what the affinity mask and the cgroup's quota leave to this process
int64_t physical_memory();
int64_t available_memory();  // what the system could give now, caches given up

// Tells the core that this is a spin loop.
inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Denormal numbers become zero on this thread. Only for threads of ours: JavaScript needs them.
inline void flush_denormals() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // FTZ and DAZ
#elif defined(__aarch64__)
  uint64_t fpcr;
  asm volatile("mrs %0, fpcr" : "=r"(fpcr));
  asm volatile("msr fpcr, %0" ::"r"(fpcr | (uint64_t(1) << 24)));
#endif
}

}  // namespace ww::cpu
