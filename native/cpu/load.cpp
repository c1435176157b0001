#include "native/cpu/load.h"

#include <algorithm>
#include <cstring>

#include "native/kernels/adamw_storage.h"

namespace ww::cpu {

namespace {

constexpr int64_t kChunk = 1 << 16;

float half_to_float(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = (half >> 10) & 31, mantissa = half & 1023;
  if (exponent == 31) return __builtin_bit_cast(float, sign | 0x7f800000u | (mantissa << 13));
  if (exponent > 0) return __builtin_bit_cast(float, sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

float to_float(float value) { return value; }
float to_float(bfloat16 value) { return static_cast<float>(value); }
struct Half {
  uint16_t bits;
};
float to_float(Half value) { return half_to_float(value.bits); }

struct Low {
  uint16_t bits;
};

void put(float& to, float value) { to = value; }
void put(bfloat16& to, float value) {
  uint16_t weight, low;
  split_master(value, weight, low);
  to = __builtin_bit_cast(bfloat16, weight);
}
void put(Low& to, float value) {
  uint16_t weight, low;
  split_master(value, weight, low);
  to = Low{low};
}

template <class To, class From>
void convert(const Tensor& to, const void* from, Workers& workers) {
  const int64_t n = to.size();
  const char* source = static_cast<const char*>(from);  // a file may place numbers at any byte
  To* const target = static_cast<To*>(to.data);
  workers.parallel_for((n + kChunk - 1) / kChunk, [=](int64_t chunk, int) {
    for (int64_t i = chunk * kChunk; i < std::min(n, (chunk + 1) * kChunk); ++i) {
      From value;
      std::memcpy(&value, source + i * sizeof(From), sizeof(From));
      put(target[i], to_float(value));
    }
  });
}

template <class To>
void convert_to(const Tensor& to, const void* from, FileDType dtype, Workers& workers) {
  switch (dtype) {
    case FileDType::f32:
      return convert<To, float>(to, from, workers);
    case FileDType::bf16:
      return convert<To, bfloat16>(to, from, workers);
    case FileDType::f16:
      return convert<To, Half>(to, from, workers);
    case FileDType::i32:
    case FileDType::u16:
    case FileDType::u8:
      break;
  }
  throw Error(ErrorCode::value, "integers cannot fill a tensor of floating-point numbers");
}

}  // namespace

void load(const Tensor& to, const void* from, FileDType dtype, Workers& workers) {
  if (is_same(to.dtype, dtype)) {
    std::memcpy(to.data, from, to.bytes());
  } else if (to.dtype == DType::f32) {
    convert_to<float>(to, from, dtype, workers);
  } else if (to.dtype == DType::bf16) {
    convert_to<bfloat16>(to, from, dtype, workers);
  } else if (to.dtype == DType::u16 && dtype != FileDType::i32 && dtype != FileDType::u8) {
    convert_to<Low>(to, from, dtype, workers);
  } else {
    throw Error(ErrorCode::value,
                std::string("only ") + dtype_name(to.dtype) + " can fill a tensor of " + dtype_name(to.dtype));
  }
}

}  // namespace ww::cpu
