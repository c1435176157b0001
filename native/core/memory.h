#pragma once

#include <cstdint>

namespace ww {

// Zeroed host memory in whole pages, on huge pages where the system grants them. Throws ww::Error (out_of_memory).
void* allocate_pages(int64_t bytes);
void release_pages(void* memory, int64_t bytes);

}  // namespace ww
