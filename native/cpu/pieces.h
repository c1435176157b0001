#pragma once

#include "native/cpu/kernel.h"

namespace ww::cpu::WW_ISA {

// Cuts scratch memory into arrays, each on a cache line of its own; from nullptr it only counts.
class Pieces {
 public:
  explicit Pieces(void* memory) : begin_(static_cast<char*>(memory)), next_(begin_) {}

  template <class T>
  T* take(int64_t count) {
    char* piece = next_;
    next_ += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
    return reinterpret_cast<T*>(piece);
  }
  int64_t bytes() const { return next_ - begin_; }

 private:
  char *begin_, *next_;
};

}  // namespace ww::cpu::WW_ISA
