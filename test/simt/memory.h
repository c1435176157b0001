#pragma once

// Global memory of the emulated device: host memory between redzones. It starts as NaN.

#include <cstddef>
#include <string>

namespace simt {

void* allocate(size_t bytes);  // aligned to 256 bytes
bool release(void* memory);    // false if it is not an allocation
size_t allocated_bytes();

// A copy from the host's memory. It runs when something else does that might depend on it, or when it is waited for:
// what takes the host's memory again too soon copies the wrong bytes, as it may on a GPU.
void copy_later(void* to, const void* from, size_t bytes);
void run_copies();  // of this OS thread, in order

// "wrote behind an allocation of 512 bytes" if the redzones of any allocation were written to, else empty.
std::string broken_allocation();

}  // namespace simt
