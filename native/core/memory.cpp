#include "native/core/memory.h"

#include <sys/mman.h>

#include <string>

#include "native/core/error.h"

namespace ww {

namespace {

constexpr int64_t kHugePage = int64_t(2) << 20;

int64_t round_up(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

// Small blocks stay on small pages: a huge page each would waste more memory than its faults cost time.
int64_t mapped_bytes(int64_t bytes) { return round_up(bytes, bytes < kHugePage ? 4096 : kHugePage); }

}  // namespace

void* allocate_pages(int64_t bytes) {
  const int64_t size = mapped_bytes(bytes);
  const int64_t alignment = size < kHugePage ? 0 : kHugePage;
  void* mapped = mmap(nullptr, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    throw Error(ErrorCode::out_of_memory, "host memory: the system refused " + std::to_string(size) + " bytes");
  }
  if (alignment == 0) return mapped;

  // A huge page must start at a multiple of its size: give back what lies before and behind.
  char* start = static_cast<char*>(mapped);
  char* aligned = reinterpret_cast<char*>(round_up(reinterpret_cast<int64_t>(start), kHugePage));
  if (aligned > start) munmap(start, aligned - start);
  munmap(aligned + size, start + alignment - aligned);
#ifdef MADV_HUGEPAGE
  madvise(aligned, size, MADV_HUGEPAGE);
#endif
  return aligned;
}

void release_pages(void* memory, int64_t bytes) { munmap(memory, mapped_bytes(bytes)); }

}  // namespace ww
