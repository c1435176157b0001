#pragma once

#include <cstring>

#include "native/core/stream.h"

namespace ww {

// A stream on which nothing runs. Kernels check their arguments and arenas count what they hand out, so that the memory
// of a step is known before any of it is taken.
class PlanStream : public Stream {
 public:
  PlanStream() : Stream(DeviceKind::none) {}

  // Addresses that nobody reads: far apart, so that no two blocks meet.
  void* allocate(int64_t bytes) override {
    void* const memory = reinterpret_cast<void*>(next_);
    next_ += (static_cast<uintptr_t>(bytes) + 4095) / 4096 * 4096;
    return memory;
  }
  void release(void*, int64_t) override {}
  void upload(const Tensor&, const void*, FileDType, std::shared_ptr<const void>) override {}
  void download(const Tensor& from, void* to) override { std::memset(to, 0, from.bytes()); }
  void notify(std::function<void(const Failure*)> reached) override { reached(nullptr); }
  DeviceMemory memory() override { return {}; }

 private:
  uintptr_t next_ = 4096;
};

}  // namespace ww
