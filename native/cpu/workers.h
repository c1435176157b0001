#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "native/core/inline.h"

namespace ww::cpu {

// The threads of one CPU stream: the stream's own thread and threads - 1 more, which spin between the parallel loops of
// a step and sleep when it is over. A kernel gives every task its own outputs, so results do not depend on who runs it.
class Workers {
 public:
  explicit Workers(int threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int threads() const { return threads_; }

  // Calls body(task, thread) for every task in [0, tasks), each thread taking its share in order and then what is left
  // of the others', and returns when all have run. Must not throw and must not be nested: check inputs before.
  template <class Body>
  WW_INLINE void parallel_for(int64_t tasks, const Body& body) {
    run(tasks, [](const void* b, int64_t task, int thread) { (*static_cast<const Body*>(b))(task, thread); }, &body);
  }

  // Memory of at least `bytes`, 64-byte aligned, kept until the next kernel: one piece for each thread, one for all.
  void* scratch(int thread, int64_t bytes) { return grow(scratch_[thread], bytes); }
  void* shared_scratch(int64_t bytes) { return grow(scratch_[threads_], bytes); }

 private:
  using Task = void (*)(const void* body, int64_t task, int thread);
  struct Block {
    void* memory = nullptr;
    int64_t bytes = 0;
  };

  void run(int64_t tasks, Task task, const void* body);
  void help(int thread);
  void stop();
  void take_tasks(int thread);
  static void* grow(Block& block, int64_t bytes);

  const int threads_;
  std::vector<Block> scratch_;
  std::vector<std::thread> helpers_;

  Task task_ = nullptr;
  const void* body_ = nullptr;
  std::atomic<bool> quit_{false};
  // A loop is open while there may be tasks to take. A helper counts itself inside before it looks whether one is open,
  // and the stream's thread closes the loop before it waits for nobody to be inside: a helper that another process
  // keeps from running is never waited for.
  alignas(64) std::atomic<uint32_t> round_{0};  // helpers wait for it to change
  // Each thread has an equal share of the tasks in a row, which it takes first, so that it works on what it worked on
  // in the loops before: cores that share no cache pay for every line that the other one wrote.
  struct alignas(64) Range {
    std::atomic<int64_t> next{0};
    int64_t last = 0;
  };
  std::vector<Range> ranges_;
  alignas(64) std::atomic<int> inside_{0};
  alignas(64) std::atomic<bool> open_{false};
  alignas(64) std::atomic<int> sleeping_{0};
};

}  // namespace ww::cpu
