#pragma once

#include <stdexcept>
#include <string>

namespace ww {

// What went wrong, in a word the caller can switch on; it becomes `err.code` in JavaScript.
enum class ErrorCode { shape, value, disposed, device, file, out_of_memory, cuda };

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

inline const char* error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::shape:
      return "ERR_SHAPE";
    case ErrorCode::value:
      return "ERR_VALUE";
    case ErrorCode::disposed:
      return "ERR_DISPOSED";
    case ErrorCode::device:
      return "ERR_DEVICE";
    case ErrorCode::file:
      return "ERR_FILE";
    case ErrorCode::out_of_memory:
      return "ERR_OUT_OF_MEMORY";
    case ErrorCode::cuda:
      return "ERR_CUDA";
  }
  return "ERR_UNKNOWN";
}

}  // namespace ww
