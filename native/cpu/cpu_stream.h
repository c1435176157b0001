#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "native/core/stream.h"
#include "native/cpu/processor.h"
#include "native/cpu/workers.h"

namespace ww::cpu {

// A worker thread with a queue. After the first failure commands are skipped, as CUDA does; only notifications still
// run. Destroying the stream waits for the command that is running; those behind it fail as disposed.
class CpuStream : public Stream {
 public:
  CpuStream(int threads, Isa isa);
  ~CpuStream() override;

  using Work = std::function<void(Workers&)>;
  void enqueue(const char* name, Work work);
  Isa isa() const { return isa_; }

  void* allocate(int64_t bytes) override;
  void release(void* memory, int64_t bytes) override;
  void upload(const Tensor& to, const void* from, FileDType dtype, std::shared_ptr<const void> owner) override;
  void download(const Tensor& from, void* to) override;
  DeviceMemory memory() override;
  void notify(std::function<void(const Failure*)> reached) override;

 private:
  struct Command {
    const char* name;
    Work work;
    std::function<void(const Failure*)> reached;  // set instead of `work` by notify
    void* freed = nullptr;                        // set instead of `work` by release
    int64_t freed_bytes = 0;
  };

  void push(Command command);
  void loop();
  void execute(Command& command);

  const Isa isa_;
  Workers workers_;
  std::optional<Failure> failure_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Command> queue_;
  bool stop_ = false;
  std::atomic<bool> pending_{false}, stopping_{false};
  std::thread thread_;  // last: it runs loop() on all of the above
};

}  // namespace ww::cpu
