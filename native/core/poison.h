#pragma once

#include <cstddef>

// What AddressSanitizer is told of memory that is handed out from larger blocks, in a build with WW_SANITIZED; nothing
// otherwise.

#ifdef WW_SANITIZED
extern "C" void __asan_poison_memory_region(const volatile void* memory, std::size_t bytes);
extern "C" void __asan_unpoison_memory_region(const volatile void* memory, std::size_t bytes);
#endif

namespace ww {

// Nobody may touch it.
inline void poison([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef WW_SANITIZED
  __asan_poison_memory_region(memory, bytes);
#endif
}

inline void unpoison([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef WW_SANITIZED
  __asan_unpoison_memory_region(memory, bytes);
#endif
}

}  // namespace ww
