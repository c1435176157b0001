#include "test/simt/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "native/core/poison.h"

namespace simt {

namespace {

constexpr size_t kRedzone = 256;
constexpr unsigned char kRedzoneByte = 0xa5;

std::mutex mutex;
std::map<char*, size_t>& allocations = *new std::map<char*, size_t>;  // bytes by address

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};
thread_local std::vector<Copy> copies;

size_t whole_bytes(size_t bytes) { return (bytes + 255) / 256 * 256 + 2 * kRedzone; }

bool is_touched(const char* redzone) {
  return std::any_of(redzone, redzone + kRedzone,
                     [](char byte) { return static_cast<unsigned char>(byte) != kRedzoneByte; });
}

}  // namespace

void* allocate(size_t bytes) {
  const size_t whole = whole_bytes(bytes);
  char* const memory = static_cast<char*>(std::aligned_alloc(256, whole));
  if (memory == nullptr) return nullptr;
  std::memset(memory, kRedzoneByte, kRedzone);
  std::memset(memory + kRedzone, 0xff, bytes);
  std::memset(memory + kRedzone + bytes, kRedzoneByte, whole - kRedzone - bytes);
  ww::poison(memory, kRedzone);
  ww::poison(memory + kRedzone + bytes, whole - kRedzone - bytes);
  const std::lock_guard lock(mutex);
  allocations[memory + kRedzone] = bytes;
  return memory + kRedzone;
}

bool release(void* memory) {
  const std::lock_guard lock(mutex);
  const auto found = allocations.find(static_cast<char*>(memory));
  if (found == allocations.end()) return false;
  char* const whole = found->first - kRedzone;
  ww::unpoison(whole, whole_bytes(found->second));
  std::free(whole);
  allocations.erase(found);
  return true;
}

void copy_later(void* to, const void* from, size_t bytes) { copies.push_back({to, from, bytes}); }

void run_copies() {
  for (const Copy& copy : copies) std::memcpy(copy.to, copy.from, copy.bytes);
  copies.clear();
}

size_t allocated_bytes() {
  const std::lock_guard lock(mutex);
  size_t bytes = 0;
  for (const auto& [memory, of_one] : allocations) bytes += of_one;
  return bytes;
}

std::string broken_allocation() {
  const std::lock_guard lock(mutex);
  for (const auto& [memory, bytes] : allocations) {
    const bool before = is_touched(memory - kRedzone);
    if (!before && !is_touched(memory + bytes)) continue;
    return std::string("wrote ") + (before ? "before" : "behind") + " an allocation of " + std::to_string(bytes) +
           " bytes";
  }
  return "";
}

}  // namespace simt
