#pragma once

// Switching between call stacks of one OS thread: what the ABI says a callee keeps, and the stack pointer.

#include <sys/mman.h>

#include <cstddef>
#include <new>
#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace simt {

// A guard page lies under the stack; its own pages are only taken when touched.
class Stack {
 public:
  static constexpr size_t kBytes = 256 << 10, kGuard = 4096;

  Stack() {
    void* const mapped = mmap(nullptr, kGuard + kBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    mprotect(mapped, kGuard, PROT_NONE);
    bottom_ = static_cast<char*>(mapped) + kGuard;
  }
  ~Stack() { munmap(bottom_ - kGuard, kGuard + kBytes); }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  char* bottom() const { return bottom_; }
  char* top() const { return bottom_ + kBytes; }

 private:
  char* bottom_;
};

#ifdef __x86_64__

extern "C" void simt_switch_stack(void** save, void* load);  // simt.cpp

class Context {
 public:
  // The first switch here calls `entry`, which never returns.
  void prepare(const Stack& stack, void (*entry)()) {
    void** const top = reinterpret_cast<void**>(stack.top());
    top[-1] = nullptr;
    top[-2] = reinterpret_cast<void*>(entry);
    for (int saved = 3; saved <= 8; ++saved) top[-saved] = nullptr;  // rbp rbx r12-r15
    stack_pointer_ = top - 8;
  }
  void switch_to(const Context& to) { simt_switch_stack(&stack_pointer_, to.stack_pointer_); }

 private:
  void* stack_pointer_ = nullptr;
};

#else

class Context {
 public:
  void prepare(const Stack& stack, void (*entry)()) {
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack.bottom();
    context_.uc_stack.ss_size = Stack::kBytes;
    context_.uc_link = nullptr;
    makecontext(&context_, entry, 0);
  }
  void switch_to(const Context& to) { swapcontext(&context_, &to.context_); }

 private:
  ucontext_t context_{};
};

#endif

}  // namespace simt
