#pragma once

#include <functional>
#include <memory>
#include <string>

#include "native/core/error.h"
#include "native/core/tensor.h"

namespace ww {

// How numbers lie in a weights file. Loading converts them to the tensor's dtype: f32 exactly, bf16 to the upper half
// of split_master (native/kernels/adamw_storage.h) and u16 to its lower half, so that a bf16 and a u16 tensor together
// hold all.
enum class FileDType : uint8_t { f32, bf16, f16, i32, u16, u8 };

inline int64_t file_dtype_bytes(FileDType dtype) {
  return dtype == FileDType::u8 ? 1 : dtype == FileDType::f32 || dtype == FileDType::i32 ? 4 : 2;
}

// Whether a tensor of dtype `to` takes such numbers as they are.
inline bool is_same(DType to, FileDType from) {
  return (to == DType::f32 && from == FileDType::f32) || (to == DType::bf16 && from == FileDType::bf16) ||
         (to == DType::i32 && from == FileDType::i32) || (to == DType::u16 && from == FileDType::u16) ||
         (to == DType::u8 && from == FileDType::u8);
}

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

  // Before a kernel that writes integers.
  virtual void integers_change() {}

 private:
  DeviceKind device_;
};

}  // namespace ww
