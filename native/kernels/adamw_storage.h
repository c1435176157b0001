#pragma once

#include "native/core/inline.h"
#include "native/core/tensor.h"

namespace ww {

// How AdamW's numbers lie in memory, where that is not f32.

// A master as the bits of a bf16 weight and of what that lacks. A carry out of low goes into weight: nothing is lost.
WW_HOST_DEVICE WW_INLINE void split_master(float master, uint16_t& weight, uint16_t& low) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, master);
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  weight = is_nan ? 0x7fc0 : static_cast<uint16_t>((bits + 0x8000u) >> 16);
  low = static_cast<uint16_t>(bits);
}

WW_HOST_DEVICE WW_INLINE float join_master(uint16_t weight, uint16_t low) {
  const int32_t signed_low = static_cast<int16_t>(low);
  return __builtin_bit_cast(float, (static_cast<uint32_t>(weight) << 16) + static_cast<uint32_t>(signed_low));
}

// 32 random bits for an element of a step: 16 for its weight, then 16 for its second moment. A function of both
// numbers, so that a run that goes on rounds as one that never stopped. UInt is uint32_t or a vector of them.
template <class UInt>
WW_HOST_DEVICE WW_INLINE UInt scramble(UInt x) {  // after C. Wellons, "Prospecting for hash functions"
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ (x >> 16);
}
WW_HOST_DEVICE WW_INLINE uint32_t random_key(int64_t step, int64_t element) {
  return scramble(static_cast<uint32_t>(step) ^ scramble(static_cast<uint32_t>(element >> 32)));
}
WW_HOST_DEVICE WW_INLINE uint32_t random_bits(int64_t step, int64_t element) {
  return scramble(static_cast<uint32_t>(element) + random_key(step, element));
}

// The bits of one of the two bf16 numbers around a finite value: the nearer it is, the likelier, so that the mean is
// the value itself. `random` has 16 bits.
WW_HOST_DEVICE WW_INLINE uint16_t round_at_random(float value, uint32_t random) {
  return static_cast<uint16_t>((__builtin_bit_cast(uint32_t, value) + random) >> 16);
}

// Magnitudes from 0 to 1 as codes of 8 bits or fewer: 0, then floating-point numbers of kMantissa bits from 2^-15 on.
// `noise` has 23 - kMantissa bits, which are added to those that go: half their range rounds to nearest, random ones
// round at random.
template <int kMantissa>
struct ByteCode {
  static constexpr int kDropped = 23 - kMantissa;
  static constexpr uint32_t kNearest = 1u << (kDropped - 1);
  static constexpr int32_t kBelowAll = (127 - 15) << kMantissa;  // the exponent of 2^-15 and a mantissa of 0

  WW_HOST_DEVICE WW_INLINE static int32_t encode(float magnitude, uint32_t noise) {
    const int32_t code =
        static_cast<int32_t>((__builtin_bit_cast(uint32_t, magnitude) + noise) >> kDropped) - kBelowAll;
    return code > 0 ? code : 0;
  }
  WW_HOST_DEVICE WW_INLINE static float decode(int32_t code) {
    const float magnitude = __builtin_bit_cast(float, static_cast<uint32_t>(code + kBelowAll) << kDropped);
    return code > 0 ? magnitude : 0.0f;
  }
};

// A first moment as its share of `scale`, the largest in its block: a sign and 7 bits, rounded to nearest.
WW_HOST_DEVICE WW_INLINE uint8_t encode_first_moment(float m, float inverse_scale) {
  const int32_t code = ByteCode<3>::encode(__builtin_fabsf(m) * inverse_scale, ByteCode<3>::kNearest);
  return static_cast<uint8_t>(code | (m < 0 ? 0x80 : 0));
}
WW_HOST_DEVICE WW_INLINE float decode_first_moment(uint8_t code, float scale) {
  const float magnitude = ByteCode<3>::decode(code & 0x7f) * scale;
  return code & 0x80 ? -magnitude : magnitude;
}

// A second moment as its root's share of the largest root: 8 bits, rounded at random, since a step changes it by far
// less than 8 bits resolve and rounding to nearest would leave it where it is. What is not 0 does not become 0: a first
// moment is divided by it.
WW_HOST_DEVICE WW_INLINE uint8_t encode_root(float root, float inverse_scale, uint32_t random) {
  const int32_t code = ByteCode<4>::encode(root * inverse_scale, random << (ByteCode<4>::kDropped - 16));
  return static_cast<uint8_t>(code == 0 && root > 0 ? 1 : code);
}
WW_HOST_DEVICE WW_INLINE float decode_root(uint8_t code, float scale) { return ByteCode<4>::decode(code) * scale; }

// Blocks whose scale is smaller hold zeros.
WW_HOST_DEVICE WW_INLINE float inverse_of_scale(float scale) { return scale > 0x1p-120f ? 1.0f / scale : 0.0f; }

}  // namespace ww
