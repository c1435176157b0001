#pragma once

#include <functional>
#include <memory>
#include <string>

#include "native/core/error.h"
#include "native/core/tensor.h"

namespace ww {

// How numbers lie in a weights file. Loading converts them to the tensor's dtype: f32 exactly, bf16 to the upper half
// of split_master (native/kernels/adamw.h) and u16 to its lower half, so that a bf16 and a u16 tensor together hold
// all.
enum class FileDType : uint8_t { f32, bf16, f16, i32, u16 };

// The first failure of a stream; everything enqueued behind it is skipped.
struct Failure {
  ErrorCode code;
  std::string message;
};

struct DeviceMemory {
  int64_t free = 0, total = 0;  // bytes
};

// An ordered queue of work on one device. Calls enqueue and return; nothing waits until someone reads a result.
class Stream {
 public:
  explicit Stream(DeviceKind device) : device_(device) {}
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  DeviceKind device() const { return device_; }

  // Memory of this device. `allocate` acts at once; `release` when all work enqueued so far has run.
  virtual void* allocate(int64_t bytes) = 0;
  virtual void release(void* memory, int64_t bytes) = 0;

  // Fills `to` from host bytes of `dtype`; `owner` keeps them alive until the copy has run.
  virtual void upload(const Tensor& to, const void* from, FileDType dtype, std::shared_ptr<const void> owner) = 0;
  virtual void download(const Tensor& from, void* to) = 0;

  // What the device's memory is like at this moment, other processes included.
  virtual DeviceMemory memory() = 0;

  // Calls `reached` on a thread of the stream once all work enqueued so far has run, with the failure if there is one.
  virtual void notify(std::function<void(const Failure*)> reached) = 0;

 private:
  DeviceKind device_;
};

}  // namespace ww
