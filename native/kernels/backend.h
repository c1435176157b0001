#pragma once

#include <memory>
#include <string>
#include <vector>

#include "native/core/stream.h"

namespace ww {

// One device as `westwind info` shows it.
struct DeviceInfo {
  std::string name;      // "AMD EPYC 9B45", "NVIDIA H200"
  std::string features;  // instruction set or compute capability
  int64_t memory_bytes = 0;
  int units = 0;  // logical processors this process may use, or streaming multiprocessors
};

// A library that is found at run time.
struct LibraryInfo {
  std::string name;           // "cuBLASLt"
  std::string version, path;  // "" if it is missing
  std::string missing;        // where it was looked for, and what to install
};

// What a backend owes besides kernels.
namespace cpu {
// `threads` 0 means one for each processor this process may use; `isa` "" means the best this machine has.
std::unique_ptr<Stream> make_stream(int threads, const std::string& isa);
std::vector<DeviceInfo> devices();
std::vector<std::string> instruction_sets();  // those this build has and this machine runs, slowest first
}  // namespace cpu

namespace cuda {
std::unique_ptr<Stream> make_stream(int device);
std::vector<DeviceInfo> devices();
std::string missing_reason();          // why devices() is empty, "" if it is not
std::vector<LibraryInfo> libraries();  // those that kernels need, none where there is no device
}  // namespace cuda

}  // namespace ww
