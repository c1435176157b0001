#include "test/simt/simt.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "native/core/error.h"
#include "native/core/poison.h"
#include "test/simt/fiber.h"
#include "test/simt/memory.h"

constinit thread_local uint3 threadIdx{}, blockIdx{};
constinit thread_local dim3 blockDim{1, 1, 1}, gridDim{1, 1, 1};

#ifdef __x86_64__
asm(R"(
.text
.type simt_switch_stack, @function
.globl simt_switch_stack
.hidden simt_switch_stack
simt_switch_stack:
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
.size simt_switch_stack, .-simt_switch_stack
)");
#endif

namespace simt {

namespace {

constexpr int64_t kSharedRedzone = 4096;
constexpr unsigned char kRedzoneByte = 0xa5;
constexpr int64_t kMostShared = 227 << 10;  // of Hopper

struct Lane {
  Context context;
  Stack stack;
  uint3 index{};
  AsyncQueue async;
  const char* what = nullptr;  // what it waits for; null while it can run
  Where where;
  void* args = nullptr;
  void (*operation)(void* const*, unsigned) = nullptr;
  unsigned mask = 0;
  bool (*condition)(const void*) = nullptr;
  bool done = false;
};

struct Warp {
  unsigned ready = 0, live = 0;
};

struct Grid {
  const char* name;
  dim3 grid, block;
  int64_t shared_bytes;
  void (*body)(void*);
  void* argument;
  uint64_t seed;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::string error;
};

std::string text(const uint3& v) {
  return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
}
std::string text(const Where& where) {
  const std::string file = where.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(where.line());
}

void lane_entry();
std::atomic<uint64_t> serials{0};

// Runs blocks, one after the other, on one OS thread.
struct Engine {
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<unsigned char> memory;  // dynamic shared memory between redzones
  unsigned char* shared = nullptr;
  Context main;
  Grid* grid = nullptr;
  Warp warps[32];
  int order[32];  // of the starving schedule
  int count = 0, live = 0, at_barrier = 0, current = -1, warp_count = 0;
  int votes = 0, vote_result = 0;
  uint64_t serial = 0;
  unsigned warps_ready = 0;
  std::vector<std::function<void()>> deferred;
  int conditional = 0;  // lanes in wait_until
  uint64_t random_state = 1, seed = 0;
  std::string error;

  uint64_t random() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1dull >> 32;
  }

  void shuffle_order() {
    for (int i = warp_count - 1; i > 0; --i) std::swap(order[i], order[random() % (i + 1)]);
  }

  Lane& self() { return *lanes[current]; }

  void make_ready(int id) {
    lanes[id]->what = nullptr;
    warps[id / 32].ready |= 1u << id % 32;
    warps_ready |= 1u << id / 32;
  }

  // Seed 0: lanes in order. Odd seeds: a random lane at every switch. Even seeds: chosen warps starve the others.
  int pick() {
    if (warps_ready == 0) return -1;
    const auto next_set = [](unsigned bits, int from) { return (std::countr_zero(std::rotr(bits, from)) + from) & 31; };
    int warp = 0, from = 0;
    if (seed == 0) {
      warp = next_set(warps_ready, current < 0 ? 0 : current / 32);
    } else if (seed % 2 == 1) {
      const uint64_t r = random();
      from = r >> 8 & 31;
      warp = next_set(warps_ready, r & 31);
    } else {
      from = random() & 31;
      for (int i = 0; i < warp_count; ++i) {
        if (warps_ready >> (warp = order[i]) & 1) break;
      }
    }
    unsigned& ready = warps[warp].ready;
    const int lane = next_set(ready, from);
    ready &= ~(1u << lane);
    if (ready == 0) warps_ready &= ~(1u << warp);
    return warp * 32 + lane;
  }

  void run_deferred() {
    const size_t i = seed ? random() % deferred.size() : 0;
    std::exchange(deferred[i], nullptr)();
    deferred.erase(deferred.begin() + i);
  }

  void try_conditions() {
    for (int i = 0; i < count; ++i) {
      Lane& lane = *lanes[i];
      if (lane.condition == nullptr || !lane.condition(lane.args)) continue;
      lane.condition = nullptr;
      --conditional;
      make_ready(i);
    }
  }

  int pick_or_advance() {
    if (seed && !deferred.empty() && random() % 64 == 0) run_deferred();
    if (conditional && (!warps_ready || (seed && random() % 16 == 0))) try_conditions();
    int next = pick();
    while (next < 0 && !deferred.empty()) {
      run_deferred();
      try_conditions();
      next = pick();
    }
    return next;
  }

  // Leaves the calling lane for whichever can run next.
  void leave() {
    Lane& from = self();
    const int next = conditional || !deferred.empty() ? pick_or_advance() : pick();
    if (next == current) return;
    if (next < 0) {
      if (live) error = "deadlock, no lane can run:" + places();
      return from.context.switch_to(main);
    }
    current = next;
    threadIdx = lanes[next]->index;
    from.context.switch_to(lanes[next]->context);
  }

  // Where the lanes of the block are.
  std::string places() {
    std::map<std::string, std::vector<int>> by_place;
    for (int i = 0; i < count; ++i) {
      const Lane& lane = *lanes[i];
      const char* const what = lane.what ? lane.what : "code";
      by_place[lane.done ? "returned" : std::string("in ") + what + " at " + text(lane.where)].push_back(i);
    }
    std::string all;
    for (const auto& [place, ids] : by_place) {
      all += "\n  " + std::to_string(ids.size()) + " lanes " + place + ":";
      for (size_t i = 0; i < ids.size();) {
        size_t j = i;
        while (j + 1 < ids.size() && ids[j + 1] == ids[j] + 1) ++j;
        all += " " + std::to_string(ids[i]) + (j > i ? "-" + std::to_string(ids[j]) : "");
        i = j + 1;
      }
    }
    return all;
  }

  // Completes the warp operation that the lanes of `mask` wait for, if all of them do.
  bool try_complete(int warp, const Lane& like, unsigned mask) {
    mask &= warps[warp].live;
    void* args[32] = {};
    for (unsigned m = mask; m; m &= m - 1) {
      const int i = std::countr_zero(m);
      const Lane& lane = *lanes[warp * 32 + i];
      if (lane.what != like.what || lane.mask != like.mask || lane.where.line() != like.where.line()) return false;
      args[i] = lane.args;
    }
    if (mask == 0) return false;
    if (like.operation) like.operation(args, mask);
    for (unsigned m = mask; m; m &= m - 1) make_ready(warp * 32 + std::countr_zero(m));
    return true;
  }

  void try_barrier() {
    if (!live || at_barrier < live) return;
    const Lane* first = nullptr;
    for (int i = 0; i < count; ++i) {
      const Lane& lane = *lanes[i];
      if (lane.done) continue;
      if (!first) first = &lane;
      if (lane.where.line() != first->where.line()) {
        error = "a barrier of the block is reached in different places:" + places();
        self().context.switch_to(main);
      }
    }
    at_barrier = 0;
    vote_result = std::exchange(votes, 0);
    for (int i = 0; i < count; ++i) {
      if (!lanes[i]->done) make_ready(i);
    }
    if (seed && seed % 2 == 0) shuffle_order();
  }

  void finish_lane() {
    Lane& lane = self();
    lane.done = true;
    if (!lane.async.copies.empty()) fail("returned with a cp.async that was never waited for");
    --live;
    Warp& warp = warps[current / 32];
    warp.live &= ~(1u << current % 32);
    for (unsigned m = warp.live; m; m &= m - 1) {
      const Lane& other = *lanes[current / 32 * 32 + std::countr_zero(m)];
      if (other.what && other.mask && try_complete(current / 32, other, other.mask)) break;
    }
    try_barrier();
    leave();
  }

  void prepare(int block_lanes, int64_t shared_bytes) {
    while (static_cast<int>(lanes.size()) < block_lanes) lanes.push_back(std::make_unique<Lane>());
    memory.resize(shared_bytes + 2 * kSharedRedzone + 1024);
    shared = memory.data() + kSharedRedzone;
    shared += -reinterpret_cast<uintptr_t>(shared) & 1023;
  }

  void run_block(uint64_t index) {
    Grid& g = *grid;
    blockIdx = {static_cast<unsigned>(index % g.grid.x), static_cast<unsigned>(index / g.grid.x % g.grid.y),
                static_cast<unsigned>(index / g.grid.x / g.grid.y)};
    blockDim = g.block;
    gridDim = g.grid;
    count = live = static_cast<int>(g.block.x * g.block.y * g.block.z);
    warp_count = (count + 31) / 32;
    seed = g.seed;
    random_state = (seed + 1) * 0x9e3779b97f4a7c15ull ^ (index + 1) * 0xd1b54a32d192ed03ull;
    deferred.clear();
    conditional = 0;
    warps_ready = 0;
    at_barrier = 0;
    votes = 0;
    current = -1;
    serial = ++serials;
    for (int w = 0; w < 32; ++w) {
      warps[w] = {};
      order[w] = w;
    }
    shuffle_order();

    std::fill(memory.begin(), memory.end(), kRedzoneByte);
    std::memset(shared, 0xff, g.shared_bytes);  // NaN: what was never written shows
    ww::poison(memory.data(), shared - memory.data());
    ww::poison(shared + g.shared_bytes, memory.data() + memory.size() - shared - g.shared_bytes);
    for (int i = 0; i < count; ++i) {
      const unsigned id = i;
      Lane& lane = *lanes[i];
      lane.index = {id % g.block.x, id / g.block.x % g.block.y, id / g.block.x / g.block.y};
      lane.done = false;
      lane.mask = 0;
      lane.condition = nullptr;
      lane.async.copies.clear();
      lane.async.open_group = 0;
      lane.context.prepare(lane.stack, lane_entry);
      warps[i / 32].live |= 1u << i % 32;
      make_ready(i);
    }
    current = pick();
    threadIdx = lanes[current]->index;
    main.switch_to(lanes[current]->context);
    while (error.empty() && !deferred.empty()) run_deferred();
    ww::unpoison(memory.data(), memory.size());

    if (error.empty()) check_redzones();
    if (error.empty()) return;
    const std::lock_guard lock(g.mutex);
    if (!g.failed.exchange(true)) {
      g.error = std::string(g.name) + ": block " + text(blockIdx) + ", seed " + std::to_string(seed) + ": " + error;
    }
    error.clear();
  }

  void check_redzones() {
    for (unsigned char* p = memory.data(); p < memory.data() + memory.size(); ++p) {
      if (p == shared) p += grid->shared_bytes;
      if (p == memory.data() + memory.size() || *p == kRedzoneByte) continue;
      error = "wrote outside of dynamic shared memory, at byte " + std::to_string(p - shared) + " of " +
              std::to_string(grid->shared_bytes);
      return;
    }
  }
};

constinit thread_local Engine* engine = nullptr;

void lane_entry() {
  engine->grid->body(engine->grid->argument);
  engine->finish_lane();
  __builtin_unreachable();
}

// Engines that no launch uses: their stacks are worth keeping.
class Engines {
 public:
  std::unique_ptr<Engine> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Engine>();
    std::unique_ptr<Engine> taken = std::move(idle_.back());
    idle_.pop_back();
    return taken;
  }
  void give_back(std::unique_ptr<Engine> used) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(used));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Engine>> idle_;
};

Engines& engines() {
  static Engines& all = *new Engines;
  return all;
}

uint64_t next_seed() {
  static const char* const given = std::getenv("WESTWIND_SIMT_SEED");
  static std::atomic<uint64_t> launches{0};
  return given != nullptr && *given != 0 ? std::strtoull(given, nullptr, 10) : launches++;
}

[[noreturn]] void fail(const std::string& message) {
  engine->error = "thread " + text(threadIdx) + ": " + message;
  engine->self().context.switch_to(engine->main);
  __builtin_unreachable();
}

}  // namespace

unsigned char* dynamic_shared() { return engine->shared; }
AsyncQueue& async_queue() { return engine->self().async; }
int lane_id() { return engine->current % 32; }
uint64_t block_serial() { return engine->serial; }

void fail(const char* message) { fail(std::string(message)); }

void collective(unsigned mask, const char* what, const Where& where, void* args,
                void (*operation)(void* const*, unsigned)) {
  Engine& e = *engine;
  if (!(mask >> e.current % 32 & 1)) {
    fail(std::string(what) + " at " + text(where) + ": the mask lacks the calling lane");
  }
  Lane& lane = e.self();
  lane.what = what;
  lane.where = where;
  lane.args = args;
  lane.operation = operation;
  lane.mask = mask;
  e.try_complete(e.current / 32, lane, mask);
  e.leave();
}

int block_barrier(const char* what, const Where& where, int predicate) {
  Engine& e = *engine;
  Lane& lane = e.self();
  lane.what = what;
  lane.where = where;
  lane.mask = 0;
  ++e.at_barrier;
  e.votes += predicate != 0;
  e.try_barrier();
  e.leave();
  return e.vote_result;
}

void defer(std::function<void()> work) { engine->deferred.push_back(std::move(work)); }

void wait_until(const char* what, const Where& where, bool (*ready)(const void*), const void* argument) {
  if (ready(argument)) return;
  Lane& lane = engine->self();
  lane.what = what;
  lane.where = where;
  lane.args = const_cast<void*>(argument);
  lane.mask = 0;
  lane.condition = ready;
  ++engine->conditional;
  engine->leave();
}

void release(const void*) {}
void acquire(const void*) {}

void yield() {
  engine->make_ready(engine->current);
  engine->leave();
}

void run_grid(const char* name, dim3 grid, dim3 block, int64_t shared_bytes, void (*body)(void*), void* argument) {
  const auto refuse = [=](const std::string& why) {
    throw ww::Error(ww::ErrorCode::cuda, std::string(name) + ": " + why);
  };
  const uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  const uint64_t block_lanes = uint64_t(block.x) * block.y * block.z;
  if (block_lanes < 1 || block_lanes > 1024) refuse("a block has 1 to 1024 threads");
  if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) refuse("the grid is too large");
  if (shared_bytes < 0 || shared_bytes > kMostShared) refuse("more than 227 KiB of shared memory");

  run_copies();
  Grid g{name, grid, block, shared_bytes, body, argument, next_seed(), {}, {}, {}, {}};
  const auto work = [&] {
    std::unique_ptr<Engine> mine = engines().take();
    engine = mine.get();
    mine->grid = &g;
    mine->prepare(static_cast<int>(block_lanes), shared_bytes);
    for (uint64_t b; !g.failed && (b = g.next++) < blocks;) mine->run_block(g.seed % 4 < 2 ? b : blocks - 1 - b);
    engine = nullptr;
    engines().give_back(std::move(mine));
  };
  std::vector<std::thread> threads;
#ifdef WW_SANITIZED
  const uint64_t most = 1;
#else
  const uint64_t most = std::max(1u, std::thread::hardware_concurrency());
#endif
  for (uint64_t t = 1; t < std::min(most, blocks); ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (g.failed) throw ww::Error(ww::ErrorCode::cuda, g.error);
  const std::string broken = broken_allocation();
  if (!broken.empty()) refuse(broken);
}

}  // namespace simt
