#include "native/kernels/signature.h"

#include <vector>

namespace ww {

namespace {

struct Spec {
  std::string dtype;              // "t", "s", "f32", "bf16", "i32"
  std::vector<std::string> axes;  // {"R", "C"}
};

Spec parse_spec(std::string_view text) {
  const size_t open = text.find('[');
  Spec spec{std::string(text.substr(0, open)), {}};
  for (size_t at = open + 1; at < text.size();) {
    const size_t end = text.find_first_of(",]", at);
    spec.axes.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return spec;
}

bool is_letter(const std::string& dtype) { return dtype.size() == 1; }
bool is_number(const std::string& axis) { return axis[0] >= '0' && axis[0] <= '9'; }

}  // namespace

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
  const Spec spec = parse_spec(text);
  if (spec.axes.size() != static_cast<size_t>(t.rank)) fail(got());
  if (is_letter(spec.dtype) ? t.dtype != DType::f32 && t.dtype != DType::bf16 : spec.dtype != dtype_name(t.dtype))
    fail(got());

  const auto bind = [&](const std::string& letter, int64_t value, const std::string& shown) {
    const auto [entry, first] = bound_.try_emplace(letter, Bound{value, shown, name});
    const Bound& was = entry->second;
    if (!first && was.value != value) fail(got() + " with " + letter + " = " + was.shown + " (from " + was.from + ")");
  };
  if (is_letter(spec.dtype)) bind(spec.dtype, static_cast<int64_t>(t.dtype), dtype_name(t.dtype));
  for (int axis = 0; axis < t.rank; ++axis) {
    const std::string& letter = spec.axes[axis];
    if (!is_number(letter)) {
      bind(letter, t.dims[axis], std::to_string(t.dims[axis]));
    } else if (letter != std::to_string(t.dims[axis])) {
      fail(got());
    }
  }
}

void SignatureChecker::require(bool holds, const char* relation) const {
  if (holds) return;
  std::string values;
  for (const auto& [letter, bound] : bound_) {
    if (letter[0] >= 'A' && letter[0] <= 'Z') values += (values.empty() ? "" : ", ") + letter + " = " + bound.shown;
  }
  fail("expected " + std::string(relation) + ", found " + values);
}

}  // namespace ww
