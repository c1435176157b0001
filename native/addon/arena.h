#pragma once

#include <memory>
#include <vector>

#include "native/core/poison.h"
#include "native/core/stream.h"

namespace ww::addon {

// Memory of one stream's device, handed out by moving a pointer and taken back all at once. Blocks that a reset finds
// to be several are replaced by one of their size, so that a step that repeats allocates nothing.
class Arena {
 public:
  Arena(std::shared_ptr<Stream> stream, int64_t bytes) : stream_(std::move(stream)) {
    if (bytes > 0) add_block(bytes);
  }
  ~Arena() { release_blocks(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  Stream& stream() { return *stream_; }

  void* take(int64_t bytes) {
    const int64_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment + kGap;
    if (blocks_.empty() || used_ + size > blocks_.back().bytes) {
      const int64_t grown = blocks_.empty() ? kFirstBlock : 2 * blocks_.back().bytes;
      add_block(size > grown ? size : grown);
    }
    void* memory = static_cast<char*>(blocks_.back().memory) + used_;
    if (is_exact()) unpoison(memory, bytes);
    used_ += size;
    taken_ += size;
    if (taken_ > peak_) peak_ = taken_;
    return memory;
  }

  // The memory may still be in use by work that is enqueued; whatever reuses it is enqueued behind.
  void reset() {
    used_ = taken_ = 0;
    if (blocks_.size() == 1) poison_block(blocks_.back());
    if (blocks_.size() < 2) return;
    const int64_t total = bytes();
    release_blocks();
    add_block(total);
  }

  int64_t bytes() const {
    int64_t total = 0;
    for (const Block& block : blocks_) total += block.bytes;
    return total;
  }

  int64_t peak() const { return peak_; }  // the most bytes between two resets: what one block would have to hold

  std::vector<uint32_t> tensors;  // handles that end with the next reset

 private:
  static constexpr int64_t kAlignment = 64, kFirstBlock = 1 << 16;
#ifdef WW_SANITIZED
  static constexpr int64_t kGap = kAlignment;  // that nobody may touch
#else
  static constexpr int64_t kGap = 0;
#endif
  struct Block {
    void* memory;
    int64_t bytes;
  };

  // Only what a tensor was given may be touched, and only until the reset: true of emulated GPUs, on which nothing is
  // still running by then.
  bool is_exact() const { return stream_->device() == DeviceKind::cuda; }
  void poison_block(const Block& block) {
    if (is_exact()) poison(block.memory, block.bytes);
  }
  void add_block(int64_t bytes) {
    blocks_.push_back({stream_->allocate(bytes), bytes});
    poison_block(blocks_.back());
    used_ = 0;
  }
  void release_blocks() {
    for (const Block& block : blocks_) {
      if (is_exact()) unpoison(block.memory, block.bytes);
      stream_->release(block.memory, block.bytes);
    }
    blocks_.clear();
  }

  std::shared_ptr<Stream> stream_;
  std::vector<Block> blocks_;
  int64_t used_ = 0;              // of the last block
  int64_t taken_ = 0, peak_ = 0;  // of all blocks since the reset, and the most of that
};

}  // namespace ww::addon
