// The scheduler. Compiled without sanitizers; it talks to their runtimes where they are linked in (weak symbols).
#include "test/simt/simt.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "native/core/error.h"
#if !defined(__x86_64__) || defined(WW_SIMT_UCONTEXT)
#include <ucontext.h>
#endif

#define WEAK extern "C" __attribute__((weak))
WEAK void __sanitizer_start_switch_fiber(void** save, const void* bottom, size_t size);
WEAK void __sanitizer_finish_switch_fiber(void* save, const void** bottom, size_t* size);
WEAK void __asan_poison_memory_region(const volatile void* p, size_t n);
WEAK void __asan_unpoison_memory_region(const volatile void* p, size_t n);
WEAK void* __tsan_get_current_fiber();
WEAK void* __tsan_create_fiber(unsigned flags);
WEAK void __tsan_destroy_fiber(void* fiber);
WEAK void __tsan_switch_to_fiber(void* fiber, unsigned flags);
WEAK void __tsan_acquire(void* p);
WEAK void __tsan_release(void* p);

namespace simt {

namespace {

constexpr size_t kStack = 256 << 10, kRedzone = 4096;  // pages of a stack are only taken when touched
constexpr unsigned char kRedzoneByte = 0xa5;

#if defined(__x86_64__) && !defined(WW_SIMT_UCONTEXT)
struct Context {
  void* sp = nullptr;
  void prepare(char* stack, size_t size, void (*entry)()) {
    void** top = reinterpret_cast<void**>(stack + size);
    top[-1] = nullptr;
    top[-2] = reinterpret_cast<void*>(entry);
    std::fill(top - 8, top - 2, nullptr);  // rbp rbx r12-r15
    sp = top - 8;
  }
};
extern "C" void simt_switch(void** save, void* load);
asm(R"(
.text
.type simt_switch, @function
.globl simt_switch
simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch, .-simt_switch
)");
void switch_context(Context& from, Context& to) { simt_switch(&from.sp, to.sp); }
#else
struct Context {
  ucontext_t u{};
  void prepare(char* stack, size_t size, void (*entry)()) {
    getcontext(&u);
    u.uc_stack.ss_sp = stack;
    u.uc_stack.ss_size = size;
    u.uc_link = nullptr;
    makecontext(&u, entry, 0);
  }
};
void switch_context(Context& from, Context& to) { swapcontext(&from.u, &to.u); }
#endif

struct Lane {
  Context context;
  char* stack = nullptr;
  size_t stack_size = kStack;
  void *fake_stack = nullptr, *tsan = nullptr;
  uint3 index{};
  AsyncQueue async;
  const char* what = nullptr;  // what it waits for; null while it can run
  Where where;
  void* args = nullptr;
  void (*op)(void* const*, unsigned) = nullptr;
  unsigned mask = 0;
  bool (*condition)(const void*) = nullptr;
  bool done = false;
};

struct Warp {
  unsigned ready = 0, live = 0, at_barrier = 0;
};

struct Grid {
  const char* name;
  dim3 grid, block;
  size_t shared_bytes;
  void (*body)(void*);
  void* arg;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::string error;
};

std::string at(const uint3& v) {
  return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
}
std::string at(const Where& w) {
  const std::string file = w.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(w.line());
}

void lane_entry();
std::atomic<uint64_t> total_switches{0}, total_blocks{0};

struct Engine {
  std::vector<std::unique_ptr<Lane>> pool;
  std::vector<unsigned char> memory;
  Lane main;
  Grid* grid = nullptr;
  Warp warps[32];
  int order[32];  // of the starving schedule
  int count = 0, live = 0, waiting_at_barrier = 0, current = -1, warp_count = 0;
  unsigned warps_ready = 0, barriers_passed = 0;
  alignas(16) char barrier_phases[16] = {};
  unsigned char* shared = nullptr;
  std::vector<std::function<void()>> deferred;
  int conditional = 0;  // lanes in wait_until
  void* async_tsan = nullptr;
  uint64_t rng = 1, seed = 0, switches = 0, serial = 0;
  std::string error;

  uint64_t random() {
    rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
    return rng * 0x2545f4914f6cdd1dull >> 32;
  }

  Lane& self() { return *pool[current]; }

  void make_ready(int id) {
    pool[id]->what = nullptr;
    warps[id / 32].ready |= 1u << id % 32;
    warps_ready |= 1u << id / 32;
  }

  int pick() {
    if (!warps_ready) return -1;
    int w = 0, turn = 0;
    if (seed == 0) {
      w = current < 0 ? 0 : current / 32;
      w = (std::countr_zero(std::rotr(warps_ready, w)) + w) & 31;
    } else if (seed & 1) {
      const uint64_t r = random();
      turn = r >> 8 & 31;
      w = (std::countr_zero(std::rotr(warps_ready, int(r & 31))) + int(r & 31)) & 31;
    } else {
      turn = random() & 31;
      for (int i = 0; i < warp_count; ++i)
        if (warps_ready >> (w = order[i]) & 1) break;
    }
    Warp& warp = warps[w];
    const int lane = (std::countr_zero(std::rotr(warp.ready, turn)) + turn) & 31;
    if (!(warp.ready &= ~(1u << lane))) warps_ready &= ~(1u << w);
    return w * 32 + lane;
  }

  void switch_to(Lane& from, Lane& to, bool for_good) {
    ++switches;
    if (__sanitizer_start_switch_fiber) {
      __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_stack, to.stack, to.stack_size);
    }
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(to.tsan, 1);
    switch_context(from.context, to.context);
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
  }

  // Deferred work is nobody's: to ThreadSanitizer it is a thread of its own.
  void run_deferred() {
    const size_t i = seed ? random() % deferred.size() : 0;
    void* const caller = __tsan_get_current_fiber ? __tsan_get_current_fiber() : nullptr;
    if (caller) __tsan_switch_to_fiber(async_tsan, 1);
    acquire(&deferred);
    std::exchange(deferred[i], nullptr)();
    deferred.erase(deferred.begin() + i);
    release(this);
    if (caller) __tsan_switch_to_fiber(caller, 1);
  }

  void try_conditions() {
    for (int i = 0; i < count; ++i) {
      Lane& l = *pool[i];
      if (!l.condition || !l.condition(l.args)) continue;
      l.condition = nullptr;
      --conditional;
      make_ready(i);
    }
  }

  int pick_or_advance() {
    if (seed && !deferred.empty() && random() % 64 == 0) run_deferred();
    if (conditional && (!warps_ready || (seed && random() % 16 == 0))) try_conditions();
    int next = pick();
    while (next < 0 && conditional && !deferred.empty()) {
      run_deferred();
      try_conditions();
      next = pick();
    }
    return next;
  }

  // Leaves the calling lane for whichever can run next.
  void leave(bool for_good) {
    Lane& from = self();
    const int next = conditional || !deferred.empty() ? pick_or_advance() : pick();
    if (next == current) return;
    if (next < 0) {
      if (live)
        describe_deadlock();
      else if (!deferred.empty())
        error = std::to_string(deferred.size()) + " transfers in flight when the block ended";
      return switch_to(from, main, for_good);
    }
    current = next;
    threadIdx = pool[next]->index;
    switch_to(from, *pool[next], for_good);
  }

  void describe_deadlock() {
    std::map<std::string, std::vector<int>> places;
    for (int i = 0; i < count; ++i) {
      const Lane& l = *pool[i];
      places[l.done ? "returned" : std::string(l.what) + " at " + at(l.where)].push_back(i);
    }
    error = "deadlock, no lane can run:";
    for (const auto& [place, ids] : places) {
      error += "\n  " + std::to_string(ids.size()) + " lanes " + (place == "returned" ? "" : "in ") + place + ":";
      for (size_t i = 0; i < ids.size();) {
        size_t j = i;
        while (j + 1 < ids.size() && ids[j + 1] == ids[j] + 1) ++j;
        error += " " + std::to_string(ids[i]) + (j > i ? "-" + std::to_string(ids[j]) : "");
        i = j + 1;
      }
    }
  }

  // Completes the warp operation that the lanes of `mask` wait for, if all of them do.
  bool try_complete(int warp, const Lane& like, unsigned mask) {
    mask &= warps[warp].live;
    void* lanes[32] = {};
    for (unsigned m = mask; m; m &= m - 1) {
      const int i = std::countr_zero(m);
      const Lane& l = *pool[warp * 32 + i];
      if (l.what != like.what || l.mask != like.mask || l.where.line() != like.where.line()) return false;
      lanes[i] = l.args;
    }
    if (!mask) return false;
    // Each lane has its own two synchronisation objects: with one for the warp, a lane that resumes late would seem
    // ordered after what the others have done since.
    for (unsigned m = mask; m; m &= m - 1) acquire(&pool[warp * 32 + std::countr_zero(m)]->args);
    if (like.op) like.op(lanes, mask);
    for (unsigned m = mask; m; m &= m - 1) {
      release(&pool[warp * 32 + std::countr_zero(m)]->op);
      make_ready(warp * 32 + std::countr_zero(m));
    }
    return true;
  }

  void try_barrier() {
    if (!live || waiting_at_barrier < live) return;
    const Lane* first = nullptr;
    for (int i = 0; i < count; ++i) {
      Lane& l = *pool[i];
      if (l.done) continue;
      if (!first) first = &l;
      if (l.where.line() != first->where.line() || l.where.file_name() != first->where.file_name()) {
        describe_deadlock();
        error.replace(0, error.find('\n'), "block barrier reached from different places:");
        switch_to(self(), main, true);
      }
    }
    waiting_at_barrier = 0;
    ++barriers_passed;
    for (int i = 0; i < count; ++i)
      if (!pool[i]->done) make_ready(i);
    if (seed && !(seed & 1))
      for (int i = warp_count - 1; i > 0; --i) std::swap(order[i], order[random() % (i + 1)]);
  }

  void finish_lane() {
    Lane& l = self();
    l.done = true;
    if (!l.async.copies.empty()) {
      fail("lane returned with cp.async never waited for");
    }
    --live;
    Warp& w = warps[current / 32];
    w.live &= ~(1u << current % 32);
    for (unsigned m = w.live; m; m &= m - 1) {
      const Lane& other = *pool[current / 32 * 32 + std::countr_zero(m)];
      if (other.what && other.mask && try_complete(current / 32, other, other.mask)) break;
    }
    try_barrier();
    release(this);
    leave(true);
  }

  void prepare(int n, size_t shared_bytes) {
    while (int(pool.size()) < n) {
      auto l = std::make_unique<Lane>();
      char* p = static_cast<char*>(
          mmap(nullptr, kStack + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
      if (p == MAP_FAILED || mprotect(p, 4096, PROT_NONE))
        throw ww::Error(ww::ErrorCode::cuda, "simt: no memory for stacks");
      l->stack = p + 4096;
      pool.push_back(std::move(l));
    }
    pthread_attr_t attr;
    void* bottom;
    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstack(&attr, &bottom, &main.stack_size);
    pthread_attr_destroy(&attr);
    main.stack = static_cast<char*>(bottom);
    if (__tsan_get_current_fiber) main.tsan = __tsan_get_current_fiber();
    if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(memory.data(), memory.size());
    memory.resize(shared_bytes + 2 * kRedzone + 1024);
    shared = memory.data() + kRedzone;
    shared += -reinterpret_cast<uintptr_t>(shared) & 1023;
  }

  void run_block(uint64_t index) {
    Grid& g = *grid;
    blockIdx = {unsigned(index % g.grid.x), unsigned(index / g.grid.x % g.grid.y),
                unsigned(index / g.grid.x / g.grid.y)};
    blockDim = g.block, gridDim = g.grid;
    count = live = int(g.block.x * g.block.y * g.block.z);
    warp_count = (count + 31) / 32;
    seed = options.seed;
    rng = (seed + 1) * 0x9e3779b97f4a7c15ull ^ (index + 1) * 0xd1b54a32d192ed03ull;
    deferred.clear(), conditional = 0, serial = ++total_blocks;
    if (__tsan_create_fiber && !async_tsan) async_tsan = __tsan_create_fiber(0);
    warps_ready = 0, waiting_at_barrier = 0, current = -1;
    for (int w = 0; w < 32; ++w) warps[w] = {}, order[w] = w;
    for (int i = warp_count - 1; i > 0; --i) std::swap(order[i], order[random() % (i + 1)]);

    std::fill(memory.begin(), memory.end(), kRedzoneByte);
    std::memset(shared, 0xff, g.shared_bytes);  // NaN, so that what was never written is seen
    if (__asan_poison_memory_region) {
      __asan_poison_memory_region(memory.data(), shared - memory.data());
      __asan_poison_memory_region(shared + g.shared_bytes, memory.data() + memory.size() - shared - g.shared_bytes);
    }
    for (int i = 0; i < count; ++i) {
      Lane& l = *pool[i];
      l.index = {i % g.block.x, i / g.block.x % g.block.y, i / g.block.x / g.block.y};
      l.done = false, l.mask = 0, l.condition = nullptr, l.fake_stack = nullptr;
      l.async.copies.clear(), l.async.open_group = 0;
      l.context.prepare(l.stack, l.stack_size, lane_entry);
      if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(l.stack, l.stack_size);
      if (__tsan_create_fiber && !l.tsan) l.tsan = __tsan_create_fiber(0);
      warps[i / 32].live |= 1u << i % 32;
      make_ready(i);
    }
    release(this);
    current = pick();
    threadIdx = pool[current]->index;
    switch_to(main, *pool[current], false);
    acquire(this);

    if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(memory.data(), memory.size());
    for (unsigned char* p = memory.data(); p < memory.data() + memory.size() && error.empty(); ++p) {
      if ((p < shared || p >= shared + g.shared_bytes) && *p != kRedzoneByte) {
        error = "wrote outside dynamic shared memory, at byte " + std::to_string(p - shared) + " of " +
                std::to_string(g.shared_bytes);
      }
    }
    if (error.empty()) return;
    std::lock_guard lock(g.mutex);
    if (!g.failed.exchange(true)) g.error = std::string(g.name) + " block " + at(blockIdx) + ": " + error;
    error.clear();
    if (!__tsan_destroy_fiber) return;
    for (auto& l : pool) {  // the lanes were abandoned in mid-call
      if (!l->tsan) continue;
      __tsan_switch_to_fiber(l->tsan, 1);
      release(this);
      __tsan_switch_to_fiber(main.tsan, 1);
      __tsan_destroy_fiber(std::exchange(l->tsan, nullptr));
    }
    acquire(this);
  }
};

thread_local Engine* engine;
std::mutex idle_mutex;
auto& idle = *new std::vector<std::unique_ptr<Engine>>;  // never destroyed: lanes hold what the sanitizers watch

void lane_entry() {
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
  acquire(engine);
  engine->grid->body(engine->grid->arg);
  engine->finish_lane();
  __builtin_unreachable();
}

}  // namespace

unsigned char* dynamic_shared() { return engine->shared; }
AsyncQueue& async_queue() { return engine->self().async; }
int lane_id() { return engine->current % 32; }
uint64_t switch_count() { return total_switches; }
uint64_t block_serial() { return engine->serial; }

// The lane is left for good, so that nothing on its stack may own memory.
void fail(const char* message) {
  engine->error = "thread " + at(threadIdx) + ": ";
  engine->error += message;
  engine->switch_to(engine->self(), engine->main, true);
  __builtin_unreachable();
}

[[noreturn]] static void fail(const char* what, const Where& where, const char* message) {
  engine->error = "thread " + at(threadIdx) + " in " + what + " at " + at(where) + ": " + message;
  engine->switch_to(engine->self(), engine->main, true);
  __builtin_unreachable();
}

void collective(unsigned mask, const char* what, const Where& where, void* args, void (*op)(void* const*, unsigned)) {
  Engine& e = *engine;
  const int warp = e.current / 32;
  if (!(mask >> e.current % 32 & 1)) fail(what, where, "the mask lacks the calling lane");
  Lane& l = e.self();
  l.what = what, l.where = where, l.args = args, l.op = op, l.mask = mask;
  release(&l.args);
  e.try_complete(warp, l, mask);
  e.leave(false);
  acquire(&l.op);
}

void block_barrier(const char* what, const Where& where) {
  Engine& e = *engine;
  Lane& l = e.self();
  l.what = what, l.where = where, l.mask = 0;
  char* const phase = &e.barrier_phases[e.barriers_passed % 2 * 8];  // two, for the reason given in try_complete
  release(phase);
  ++e.waiting_at_barrier;
  e.try_barrier();
  e.leave(false);
  acquire(phase);
}

void defer(std::function<void()> work) {
  engine->deferred.push_back(std::move(work));
  release(&engine->deferred);
}

void wait_until(const char* what, const Where& where, bool (*ready)(const void*), const void* arg) {
  if (ready(arg)) return;
  Lane& l = engine->self();
  l.what = what, l.where = where, l.args = const_cast<void*>(arg), l.mask = 0, l.condition = ready;
  ++engine->conditional;
  engine->leave(false);
}

void acquire(const void* p) {
  if (__tsan_acquire) __tsan_acquire(const_cast<void*>(p));
}
void release(const void* p) {
  if (__tsan_release) __tsan_release(const_cast<void*>(p));
}

void yield() {
  engine->make_ready(engine->current);
  engine->leave(false);
}

void run_grid(const char* name, dim3 grid, dim3 block, size_t shared_bytes, void (*body)(void*), void* arg) {
  const uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  const size_t lanes = size_t(block.x) * block.y * block.z;
  if (lanes < 1 || lanes > 1024)
    throw ww::Error(ww::ErrorCode::cuda, std::string(name) + ": a block has 1 to 1024 threads");
  if (shared_bytes > 232448)
    throw ww::Error(ww::ErrorCode::cuda, std::string(name) + ": more than 227 KiB of shared memory");
  Grid g{name, grid, block, shared_bytes, body, arg, {}, {}, {}, {}};
  auto work = [&] {
    std::unique_ptr<Engine> mine;
    {
      std::lock_guard lock(idle_mutex);
      if (!idle.empty()) mine = std::move(idle.back()), idle.pop_back();
    }
    if (!mine) mine = std::make_unique<Engine>();
    engine = mine.get();
    engine->grid = &g;
    engine->prepare(int(lanes), shared_bytes);
    for (uint64_t b; !g.failed && (b = g.next++) < blocks;) engine->run_block(b);
    total_switches += std::exchange(engine->switches, 0);
    engine = nullptr;
    std::lock_guard lock(idle_mutex);
    idle.push_back(std::move(mine));
  };
  const int want = options.os_threads ? options.os_threads : int(std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (uint64_t t = 1; t < std::min<uint64_t>(want, blocks); ++t) threads.emplace_back(work);
  work();
  for (auto& t : threads) t.join();
  if (g.failed) throw ww::Error(ww::ErrorCode::cuda, g.error);
}

}  // namespace simt
