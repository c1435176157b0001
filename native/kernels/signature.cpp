#include "native/kernels/signature.h"

#include <charconv>

namespace ww {

std::string describe(const Tensor& t) {
  std::string text = std::string(dtype_name(t.dtype)) + "[";
  for (int axis = 0; axis < t.rank; ++axis) text += (axis ? "," : "") + std::to_string(t.dims[axis]);
  return text + "]";
}

void SignatureChecker::fail(const std::string& what) const {
  throw Error(ErrorCode::shape, std::string(kernel_) + ": " + what);
}

void SignatureChecker::check(const char* name, const Tensor& t, std::string_view text) {
  if (t.device != device_) fail(std::string(name) + " is not on the stream's device");

  const auto got = [&] { return std::string(name) + " is " + describe(t) + ", expected " + std::string(text); };
  const auto bind = [&](Bound& bound, int64_t value) {
    if (bound.from == nullptr) bound = {value, name};
    return bound.value == value;
  };

  const size_t open = text.find('[');
  const std::string_view dtype = text.substr(0, open);
  const bool is_letter = dtype.size() == 1;
  if (is_letter ? t.dtype != DType::f32 && t.dtype != DType::bf16 : dtype != dtype_name(t.dtype)) fail(got());
  int rank = 0;
  for (size_t at = open + 1, end; at < text.size(); at = end + 1, ++rank) end = text.find_first_of(",]", at);
  if (rank != t.rank) fail(got());

  if (is_letter) {
    Bound& bound = dtypes_[dtype[0] - 'a'];
    if (!bind(bound, static_cast<int64_t>(t.dtype))) {
      const char* const was = dtype_name(static_cast<DType>(bound.value));
      fail(got() + " with " + dtype[0] + " = " + was + " (from " + bound.from + ")");
    }
  }
  size_t at = open + 1;
  for (int axis = 0; axis < rank; ++axis) {
    const size_t end = text.find_first_of(",]", at);
    const char letter = text[at];
    if (letter >= 'A' && letter <= 'Z') {
      Bound& bound = axes_[letter - 'A'];
      if (!bind(bound, t.dims[axis])) {
        fail(got() + " with " + letter + " = " + std::to_string(bound.value) + " (from " + bound.from + ")");
      }
    } else {
      int64_t number = -1;
      std::from_chars(text.data() + at, text.data() + end, number);
      if (number != t.dims[axis]) fail(got());
    }
    at = end + 1;
  }
}

void SignatureChecker::require(bool holds, const char* relation) const {
  if (holds) return;
  std::string values;
  for (char letter = 'A'; letter <= 'Z'; ++letter) {
    const Bound& bound = axes_[letter - 'A'];
    if (bound.from == nullptr) continue;
    values += (values.empty() ? "" : ", ") + std::string(1, letter) + " = " + std::to_string(bound.value);
  }
  fail("expected " + std::string(relation) + ", found " + values);
}

}  // namespace ww
