#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "native/core/error.h"

namespace ww::addon {

// Objects that JavaScript names by a small integer: 20 bits of slot, 12 bits of generation. A handle whose object is
// gone is told apart from the one that took its slot.
template <class T>
class Handles {
 public:
  explicit Handles(const char* what) : what_(what) {}

  uint32_t insert(T object) {
    uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<uint32_t>(slots_.size());
      if (slot > kSlotMask) throw Error(ErrorCode::out_of_memory, std::string(what_) + ": 2^20 of them are alive");
      slots_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    slots_[slot].object = std::move(object);
    slots_[slot].alive = true;
    return (slots_[slot].generation << kSlotBits) | slot;
  }

  T& get(uint32_t handle) {
    const uint32_t slot = handle & kSlotMask;
    if (slot < slots_.size() && slots_[slot].alive && slots_[slot].generation == handle >> kSlotBits) {
      return slots_[slot].object;
    }
    throw Error(ErrorCode::disposed, std::string(what_) + " " + std::to_string(handle) + " has been disposed of");
  }

  void remove(uint32_t handle) {
    get(handle) = T();
    Slot& slot = slots_[handle & kSlotMask];
    slot.alive = false;
    slot.generation = slot.generation == kGenerationMask ? 1 : slot.generation + 1;  // never 0: no handle is 0
    free_.push_back(handle & kSlotMask);
  }

  bool has(uint32_t handle) const {
    const uint32_t slot = handle & kSlotMask;
    return slot < slots_.size() && slots_[slot].alive && slots_[slot].generation == handle >> kSlotBits;
  }

  void clear() {
    for (Slot& slot : slots_) slot.object = T();
    slots_.clear();
    free_.clear();
  }

 private:
  static constexpr uint32_t kSlotBits = 20, kSlotMask = (1u << kSlotBits) - 1, kGenerationMask = (1u << 12) - 1;
  struct Slot {
    T object{};
    uint32_t generation = 1;
    bool alive = false;
  };

  const char* what_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace ww::addon
