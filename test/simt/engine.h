#pragma once

// The emulator: every CUDA thread ("lane") of a block is a fiber; a block runs on one OS thread, blocks are spread over
// OS threads. A warp operation is a collective: each lane leaves a pointer to its arguments, the last one to arrive
// computes the result for all of them at once.

#include <vector_functions.h>
#include <vector_types.h>

#include <cstdint>
#include <functional>
#include <source_location>
#include <tuple>
#include <vector>

namespace simt {

using Where = std::source_location;

// A copy of 16 bytes to shared memory that has been issued and not been waited for.
struct AsyncCopy {
  void* to;
  const void* from;  // null: zeros
  unsigned group;
};
struct AsyncQueue {
  std::vector<AsyncCopy> copies;
  unsigned open_group = 0;
};

unsigned char* dynamic_shared();
AsyncQueue& async_queue();  // of the calling lane
int lane_id();
uint64_t block_serial();  // another number for every block that ran

// Ends the launch with an error that names kernel, block and thread. The lane is left for good: nothing on its stack
// may own memory.
[[noreturn]] void fail(const char* message);

// Waits until every live lane of `mask` is here (same operation, same source line); the last one runs `operation`.
void collective(unsigned mask, const char* what, const Where& where, void* args,
                void (*operation)(void* const*, unsigned));
// Waits for the whole block; returns how many lanes came with a predicate that is not 0.
int block_barrier(const char* what, const Where& where, int predicate = 0);
void yield();

// Work that the hardware does on its own: runs at some later switch, at the latest when nothing else can run.
void defer(std::function<void()> work);
// Blocks the lane until ready(argument). Only the scheduler tries the condition, so that a deadlock is seen.
void wait_until(const char* what, const Where& where, bool (*ready)(const void*), const void* argument);

// What a lane did before it released `object` is over for a lane that acquires it. For synchronisation that is neither
// a collective nor a barrier of the block.
void release(const void* object);
void acquire(const void* object);

// Throws ww::Error (cuda). Schedules differ by seed: WESTWIND_SIMT_SEED, else every launch of a process takes the next.
void run_grid(const char* name, dim3 grid, dim3 block, int64_t shared_bytes, void (*body)(void*), void* argument);

template <class... Params, class... Args>
void launch(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block, int64_t shared_bytes, Args... args) {
  const std::tuple<Params...> packed(args...);
  auto body = [&] { std::apply(kernel, packed); };
  run_grid(name, grid, block, shared_bytes, [](void* f) { (*static_cast<decltype(body)*>(f))(); }, &body);
}

template <class Args, void (*kOperation)(Args* const*, unsigned)>
void collective(unsigned mask, const char* what, const Where& where, Args& args) {
  collective(mask, what, where, &args,
             [](void* const* lanes, unsigned m) { kOperation(reinterpret_cast<Args* const*>(lanes), m); });
}

}  // namespace simt

#define SIMT_HERE simt::Where where = simt::Where::current()
