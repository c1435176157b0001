#pragma once

#include <cstdint>

#include "native/core/inline.h"

namespace ww {

// The upper half of an IEEE binary32. Conversion from f32 rounds to nearest even and keeps NaN a NaN.
struct bfloat16 {
  uint16_t bits = 0;

  bfloat16() = default;
  WW_HOST_DEVICE WW_INLINE explicit bfloat16(float value) {
    const uint32_t u = __builtin_bit_cast(uint32_t, value);
    const bool is_nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>(is_nan ? (u >> 16) | 0x40 : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  WW_HOST_DEVICE WW_INLINE explicit operator float() const {
    return __builtin_bit_cast(float, static_cast<uint32_t>(bits) << 16);
  }
};

}  // namespace ww
