#include "native/cpu/cpu_stream.h"

#include <cstring>
#include <system_error>

#include "native/core/memory.h"
#include "native/cpu/load.h"
#include "native/kernels/backend.h"
#include "native/kernels/launch.h"

namespace ww::cpu {

namespace {

// How long the stream's thread looks for the next command before it sleeps: JavaScript enqueues a step's commands a
// microsecond apart.
constexpr int kSpins = 2000;

}  // namespace

CpuStream::CpuStream(int threads, Isa isa)
    : Stream(DeviceKind::cpu), isa_(isa), workers_(threads), thread_([this] { loop(); }) {}

CpuStream::~CpuStream() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  for (Command& command : queue_) execute(command);
}

void CpuStream::push(Command command) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(command));
    pending_.store(true, std::memory_order_release);
  }
  wake_.notify_one();
}

void CpuStream::loop() {
  flush_denormals();
  std::vector<Command> batch;
  for (;;) {
    for (int spins = 0; spins < kSpins && !pending_.load(std::memory_order_acquire); ++spins) pause();
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      if (stop_) return;
      batch.swap(queue_);
      pending_.store(false, std::memory_order_relaxed);
    }
    for (Command& command : batch) execute(command);
    batch.clear();
  }
}

void CpuStream::execute(Command& command) {
  if (command.freed != nullptr) return release_pages(command.freed, command.freed_bytes);
  if (stopping_ && !failure_) failure_ = {ErrorCode::disposed, "the stream was disposed of before its work had run"};
  if (command.reached) return command.reached(failure_ ? &*failure_ : nullptr);
  if (failure_) return;
  try {
    command.work(workers_);
  } catch (const Error& error) {
    failure_ = {error.code(), std::string(command.name) + ": " + error.what()};
  } catch (const std::exception& error) {
    failure_ = {ErrorCode::device, std::string(command.name) + ": " + error.what()};
  }
}

void CpuStream::enqueue(const char* name, Work work) { push({name, std::move(work), nullptr}); }

void* CpuStream::allocate(int64_t bytes) { return allocate_pages(bytes); }

void CpuStream::release(void* memory, int64_t bytes) { push({"release", nullptr, nullptr, memory, bytes}); }

void CpuStream::upload(const Tensor& to, const void* from, FileDType dtype, std::shared_ptr<const void> owner) {
  enqueue("upload", [=, owner = std::move(owner)](Workers& workers) { load(to, from, dtype, workers); });
}

void CpuStream::download(const Tensor& from, void* to) {
  enqueue("download", [=](Workers&) { std::memcpy(to, from.data, from.bytes()); });
}

DeviceMemory CpuStream::memory() { return {available_memory(), physical_memory()}; }

void CpuStream::notify(std::function<void(const Failure*)> reached) { push({"notify", nullptr, std::move(reached)}); }

namespace {

std::unique_ptr<Stream> start(int threads, Isa isa) {
  try {
    return std::make_unique<CpuStream>(threads, isa);
  } catch (const std::system_error& error) {
    throw Error(ErrorCode::device, "a stream of " + std::to_string(threads) + " threads: " + error.what());
  }
}

}  // namespace

std::unique_ptr<Stream> make_stream(int threads, const std::string& wanted) {
  const int count = threads > 0 ? threads : available_processors();
  if (wanted.empty()) return start(count, best_isa());
  std::string known;
#define ISA(name)                                        \
  if (runs_here(Isa::name)) {                            \
    if (wanted == #name) return start(count, Isa::name); \
    known += known.empty() ? #name : ", " #name;         \
  }
#include "native/cpu/isa.def"
#undef ISA
  throw Error(ErrorCode::device, "instruction set " + wanted + ": expected one this machine runs: " + known);
}

std::vector<DeviceInfo> devices() {
  return {{processor_name(), isa_name(best_isa()), physical_memory(), available_processors()}};
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
#define ISA(name) \
  if (runs_here(Isa::name)) names.push_back(#name);
#include "native/cpu/isa.def"
#undef ISA
  return names;
}

}  // namespace ww::cpu
