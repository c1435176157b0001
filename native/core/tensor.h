#pragma once

#include <cstdint>

#include "native/core/bfloat16.h"
#include "native/core/inline.h"

namespace ww {

enum class DType : uint8_t { f32, bf16, i32, u16, u8 };  // u16, u8: raw bits
// none: memory is counted, nothing runs (plan_stream.h).
enum class DeviceKind : uint8_t { cpu, cuda, none };

WW_INLINE const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
    case DType::u16:
      return "u16";
    case DType::u8:
      return "u8";
  }
  return "?";
}

WW_HOST_DEVICE WW_INLINE int64_t dtype_bytes(DType dtype) {
  return dtype == DType::u8 ? 1 : dtype == DType::bf16 || dtype == DType::u16 ? 2 : 4;
}

// A borrowed, contiguous, row-major view. Never owns or frees `data`.
struct Tensor {
  static constexpr int kMaxRank = 4;

  void* data = nullptr;
  DType dtype = DType::f32;
  DeviceKind device = DeviceKind::cpu;
  int rank = 0;
  int64_t dims[kMaxRank] = {};

  template <class T>
  WW_HOST_DEVICE WW_INLINE T* as() const {
    return static_cast<T*>(data);
  }

  WW_HOST_DEVICE WW_INLINE int64_t size() const {
    int64_t n = 1;
    for (int axis = 0; axis < rank; ++axis) n *= dims[axis];
    return n;
  }
  WW_HOST_DEVICE WW_INLINE int64_t bytes() const { return size() * dtype_bytes(dtype); }
};

}  // namespace ww
