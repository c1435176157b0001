#pragma once

// Global memory of the emulated device: host memory between redzones. It starts as NaN.

#include <cstddef>
#include <string>

namespace simt {

void* allocate(size_t bytes);  // aligned to 256 bytes
bool release(void* memory);    // false if it is not an allocation
size_t allocated_bytes();

// "wrote behind an allocation of 512 bytes" if the redzones of any allocation were written to, else empty.
std::string broken_allocation();

}  // namespace simt
