#include "native/cpu/workers.h"

#include <algorithm>

#include "native/core/memory.h"
#include "native/cpu/processor.h"

namespace ww::cpu {

namespace {

// About a millisecond: longer than the serial gaps inside a step, shorter than anyone would notice in idle load.
constexpr int kSpins = 20000;

}  // namespace

Workers::Workers(int threads) : threads_(threads), scratch_(threads + 1), ranges_(threads) {
  try {
    for (int thread = 1; thread < threads; ++thread) helpers_.emplace_back([this, thread] { help(thread); });
  } catch (...) {
    stop();
    throw;
  }
}

Workers::~Workers() {
  stop();
  for (Block& block : scratch_) {
    if (block.memory != nullptr) release_pages(block.memory, block.bytes);
  }
}

void Workers::stop() {
  quit_ = true;
  round_.fetch_add(1);
  round_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Workers::run(int64_t tasks, Task task, const void* body) {
  if (threads_ == 1 || tasks <= 1) {
    for (int64_t t = 0; t < tasks; ++t) task(body, t, 0);
    return;
  }
  task_ = task;
  body_ = body;
  for (int thread = 0; thread < threads_; ++thread) {
    ranges_[thread].next.store(tasks * thread / threads_, std::memory_order_relaxed);
    ranges_[thread].last = tasks * (thread + 1) / threads_;
  }
  open_.store(true);
  round_.fetch_add(1);
  if (sleeping_.load() > 0) round_.notify_all();

  take_tasks(0);
  open_.store(false);
  for (int spins = 0; inside_.load() > 0; ++spins) {
    if (spins < kSpins) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void Workers::help(int thread) {
  flush_denormals();
  uint32_t seen = 0;
  for (;;) {
    for (int spins = 0; round_.load(std::memory_order_acquire) == seen; ++spins) {
      if (spins < kSpins) {
        pause();
      } else {
        sleeping_.fetch_add(1);
        round_.wait(seen);
        sleeping_.fetch_sub(1);
      }
    }
    seen = round_.load(std::memory_order_acquire);
    if (quit_) return;
    inside_.fetch_add(1);
    if (open_.load()) take_tasks(thread);
    inside_.fetch_sub(1);
  }
}

void Workers::take_tasks(int thread) {
  for (int other = 0; other < threads_; ++other) {
    Range& range = ranges_[(thread + other) % threads_];
    for (;;) {
      const int64_t task = range.next.fetch_add(1, std::memory_order_relaxed);
      if (task >= range.last) break;
      task_(body_, task, thread);
    }
  }
}

void* Workers::grow(Block& block, int64_t bytes) {
  if (bytes <= block.bytes) return block.memory;
  if (block.memory != nullptr) release_pages(block.memory, block.bytes);
  block = {};
  block.memory = allocate_pages(bytes + bytes / 4);
  block.bytes = bytes + bytes / 4;
  return block.memory;
}

}  // namespace ww::cpu
