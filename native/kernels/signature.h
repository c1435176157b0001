#pragma once

#include <string>
#include <string_view>

#include "native/core/error.h"
#include "native/core/tensor.h"

namespace ww {

// Checks one launch against the kernel's own declaration. In "t[R,C]" the dtype letter t (or s) and the axes R and C
// are bound by the first tensor that names them; every later tensor has to agree. An axis that is a number is that
// number. It allocates nothing as long as all is right: a step of a small model launches some hundred kernels.
class SignatureChecker {
 public:
  SignatureChecker(const char* kernel, DeviceKind device) : kernel_(kernel), device_(device) {}

  void in(const char* name, const Tensor& t, std::string_view spec) { check(name, t, spec); }
  void out(const char* name, const Tensor& t, std::string_view spec) { check_written(name, t, spec); }
  void acc(const char* name, const Tensor& t, std::string_view spec) { check_written(name, t, spec); }
  void update(const char* name, const Tensor& t, std::string_view spec) { check_written(name, t, spec); }
  void scalar(const char*, float) {}
  void scalar(const char*, double) {}
  void scalar(const char*, int64_t) {}
  void require(bool holds, const char* relation) const;

  // Whether the kernel writes integers, of which others may be indices.
  bool writes_integers() const { return writes_integers_; }

 private:
  struct Bound {
    int64_t value = 0;
    const char* from = nullptr;  // the tensor that named it first
  };

  void check(const char* name, const Tensor& t, std::string_view spec);
  void check_written(const char* name, const Tensor& t, std::string_view spec) {
    check(name, t, spec);
    writes_integers_ = writes_integers_ || t.dtype == DType::i32;
  }
  [[noreturn]] void fail(const std::string& what) const;

  const char* kernel_;
  DeviceKind device_;
  bool writes_integers_ = false;
  Bound axes_['Z' - 'A' + 1], dtypes_['z' - 'a' + 1];
};

std::string describe(const Tensor& t);  // "bf16[8192,4096]"

}  // namespace ww
