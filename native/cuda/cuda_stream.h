#pragma once

#include <cuda_runtime_api.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "native/core/stream.h"

namespace ww::cuda {

// Throws ww::Error (cuda, or out_of_memory) unless `status` is success.
void check(cudaError_t status, const char* what);

// What kernels choose their tiles by.
struct DeviceLimits {
  int compute_capability = 0;  // 90 for 9.0
  int multiprocessors = 0;
  int shared_bytes_per_block = 0;  // the most a launch may ask for
  int64_t l2_bytes = 0;
};

// The first bad index that a kernel met: written by the checks on the device, read with every notification.
struct Fault {
  const char* kernel;
  const char* name;
  int64_t index, value, least, bound;  // least <= value < bound does not hold
};

// With what the blocks of a check tell each other; zeros between checks.
struct FaultRecord : Fault {
  unsigned long long left;  // of the check's entries, from the first bad one that a block has found so far
  unsigned blocks;          // that have looked
};

// All that a check of indices, or what is made of them, depends on beside the integers themselves.
struct IndexKey {
  const int32_t* arrays[3];
  int64_t numbers[8];
  bool operator==(const IndexKey&) const = default;
};

class MatmulState;

// A CUDA stream. Work is launched by the calling thread and runs in order; a thread of its own waits for events, so
// that reads and notifications never hold up the caller. After the first failure everything that waits fails.
class CudaStream : public Stream {
 public:
  explicit CudaStream(int ordinal);
  ~CudaStream() override;

  cudaStream_t handle() const { return stream_; }
  const DeviceLimits& limits() const { return limits_; }
  FaultRecord* fault() const { return fault_; }

  // A step's layers share their indices. Whether these have not been checked since integers were last written.
  bool is_new_check(const IndexKey& key);

  // Memory for what is made of indices alone. It keeps what was put there until integers are written; `is_new`: nothing
  // was. 256-byte aligned.
  struct Derived {
    void* memory;
    bool is_new;
  };
  Derived derived(const IndexKey& key, int64_t bytes);

  std::shared_ptr<MatmulState>& matmul_state() { return matmul_state_; }  // matmul.cpp makes it

  // Before each launch: makes the device current and notes the kernel's name for errors that come later.
  void begin(const char* kernel);

  // Memory for the kernels that one run() launches; whatever was there is gone. A second call within one run() takes
  // the same memory, so ask once and divide. 256-byte aligned.
  void* scratch(int64_t bytes);

  void* allocate(int64_t bytes) override;
  void release(void* memory, int64_t bytes) override;
  void upload(const Tensor& to, const void* from, FileDType dtype, std::shared_ptr<const void> owner) override;
  void download(const Tensor& from, void* to) override;
  DeviceMemory memory() override;
  void notify(std::function<void(const Failure*)> reached) override;
  void integers_change() override;

 private:
  // Host memory that the device copies from and to. Blocks go round: taken, waited for, given back.
  struct Pinned {
    void* memory = nullptr;
    int64_t bytes = 0;
  };
  struct Waiting {
    cudaEvent_t event;
    std::function<void(const Failure*)> then;
    std::vector<const char*> kernels;  // launched since the wait before
    Fault* fault;                      // as the device's record was then, if it was copied
  };

  struct Kept {
    IndexKey key;
    void* memory = nullptr;
    int64_t bytes = 0;
  };

  void activate() const;
  template <class T>
  T* taken(std::vector<T*>& all);
  Pinned take_pinned(int64_t bytes);
  void* stage(int64_t bytes);
  void give_back(Pinned pinned);
  void when_done(std::function<void(const Failure*)> then, Fault* fault = nullptr);
  void loop();
  Failure failed(cudaError_t status, const std::vector<const char*>& kernels) const;

  const int ordinal_;
  DeviceLimits limits_;
  cudaStream_t stream_ = nullptr;
  void* scratch_ = nullptr;
  int64_t scratch_bytes_ = 0;
  FaultRecord* fault_ = nullptr;
  std::vector<const char*> kernels_;
  std::vector<IndexKey> checked_;
  std::vector<Kept> kept_;
  size_t num_kept_ = 0;  // of kept_, since integers were last written
  Pinned staging_;  // from which small uploads are copied: an event and a wake-up for each would cost more than they do
  int64_t staged_ = 0;
  std::shared_ptr<MatmulState> matmul_state_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Pinned> pinned_;
  std::vector<cudaEvent_t> events_;
  std::vector<Fault*> faults_;
  std::vector<Waiting> waiting_;
  std::optional<Failure> failure_;  // of the waiting thread
  bool stop_ = false;
  std::thread thread_;  // last: it runs loop() on all of the above
};

}  // namespace ww::cuda
