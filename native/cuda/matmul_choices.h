#pragma once

#include <map>
#include <optional>
#include <string>

#include "native/cuda/cublaslt.h"

namespace ww::cuda {

// The algorithms that were fastest, by a text that describes the product: kept in a file for this GPU and version of
// the library, so that the same run on the same machine adds in the same order. What another process stored first
// counts.
class MatmulChoices {
 public:
  MatmulChoices(const std::string& gpu, size_t library_version);

  std::optional<cublaslt::Algo> find(const std::string& product) const;

  // Stores `algo` unless there is one already. Returns what is stored. Where no file can be written it is remembered.
  cublaslt::Algo store(const std::string& product, const cublaslt::Algo& algo);

 private:
  void parse(const std::string& text);

  std::string path_;  // "" where there is no home
  std::map<std::string, cublaslt::Algo> algos_;
};

}  // namespace ww::cuda
