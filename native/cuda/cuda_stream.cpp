#include "native/cuda/cuda_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "native/core/poison.h"
#include "native/cuda/convert.h"
#include "native/cuda/matmul.h"
#include "native/kernels/backend.h"

namespace ww::cuda {

namespace {

constexpr int64_t kAlignment = 256;
constexpr int64_t kChunk = 16 << 20;  // bytes of one copy of an upload

constexpr int64_t kSmall = 64 << 10, kStaging = 1 << 20;  // bytes of an upload, and of a block for many

// Two blocks of kChunk: one is filled while the other is copied.
constexpr int64_t kMostPinned = 4 * kChunk;

std::string gib(size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f GiB", static_cast<double>(bytes) / (1 << 30));
  return text;
}

bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }
bool is_float(FileDType dtype) {
  return dtype == FileDType::f32 || dtype == FileDType::bf16 || dtype == FileDType::f16;
}

}  // namespace

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw Error(status == cudaErrorMemoryAllocation ? ErrorCode::out_of_memory : ErrorCode::cuda,
              std::string(what) + ": " + cudaGetErrorString(status));
}

CudaStream::CudaStream(int ordinal) : Stream(DeviceKind::cuda), ordinal_(ordinal) {
  activate();
  const auto attribute = [&](cudaDeviceAttr which) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, which, ordinal), "cuda: device attributes");
    return value;
  };
  limits_.compute_capability =
      10 * attribute(cudaDevAttrComputeCapabilityMajor) + attribute(cudaDevAttrComputeCapabilityMinor);
  limits_.multiprocessors = attribute(cudaDevAttrMultiProcessorCount);
  limits_.shared_bytes_per_block = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  limits_.l2_bytes = attribute(cudaDevAttrL2CacheSize);

  // The pool keeps what is released: a step that repeats asks the driver for nothing.
  cudaMemPool_t pool;
  check(cudaDeviceGetDefaultMemPool(&pool, ordinal), "cuda: memory pool");
  uint64_t keep = UINT64_MAX;
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "cuda: memory pool");

  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cuda: stream");
  check(cudaMallocAsync(reinterpret_cast<void**>(&fault_), sizeof(FaultRecord), stream_), "cuda: fault record");
  check(cudaMemsetAsync(fault_, 0, sizeof(FaultRecord), stream_), "cuda: fault record");
  thread_ = std::thread([this] { loop(); });
}

CudaStream::~CudaStream() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
  cudaSetDevice(ordinal_);
  matmul_state_.reset();
  if (scratch_ != nullptr) cudaFreeAsync(scratch_, stream_);
  for (const Kept& kept : kept_) cudaFreeAsync(kept.memory, stream_);
  cudaFreeAsync(fault_, stream_);
  cudaStreamSynchronize(stream_);
  // What the pool keeps is not free for others, nor for this process's next stream that asks what is.
  cudaMemPool_t pool;
  if (cudaDeviceGetDefaultMemPool(&pool, ordinal_) == cudaSuccess) cudaMemPoolTrimTo(pool, 0);
  for (const Pinned& pinned : pinned_) cudaFreeHost(pinned.memory);
  cudaFreeHost(staging_.memory);
  for (const cudaEvent_t event : events_) cudaEventDestroy(event);
  for (Fault* const fault : faults_) cudaFreeHost(fault);
  cudaStreamDestroy(stream_);
}

void CudaStream::activate() const { check(cudaSetDevice(ordinal_), "cuda: choosing the device"); }

void CudaStream::begin(const char* kernel) {
  activate();
  kernels_.push_back(kernel);
}

void* CudaStream::allocate(int64_t bytes) {
  activate();
  void* memory = nullptr;
  const cudaError_t status = cudaMallocAsync(&memory, static_cast<size_t>(std::max<int64_t>(bytes, 1)), stream_);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // clears it
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Error(ErrorCode::out_of_memory, "cuda:" + std::to_string(ordinal_) + ": " + gib(bytes) + " asked for, " +
                                              gib(free) + " of " + gib(total) + " free");
  }
  check(status, "cuda: allocation");
  return memory;
}

// Throws nothing: destructors call it, also after a fault, from which on every call fails.
void CudaStream::release(void* memory, int64_t) {
  if (cudaSetDevice(ordinal_) == cudaSuccess) cudaFreeAsync(memory, stream_);
}

void* CudaStream::scratch(int64_t bytes) {
  if (bytes > scratch_bytes_) {
    if (scratch_ != nullptr) release(std::exchange(scratch_, nullptr), scratch_bytes_);
    scratch_bytes_ = 0;
    scratch_ = allocate(bytes);
    scratch_bytes_ = bytes;
  }
  poison(scratch_, scratch_bytes_);
  unpoison(scratch_, bytes);
  return scratch_;
}

void CudaStream::integers_change() {
  checked_.clear();
  num_kept_ = 0;
}

bool CudaStream::is_new_check(const IndexKey& key) {
  if (std::find(checked_.begin(), checked_.end(), key) != checked_.end()) return false;
  checked_.push_back(key);
  return true;
}

CudaStream::Derived CudaStream::derived(const IndexKey& key, int64_t bytes) {
  const auto end = kept_.begin() + static_cast<ptrdiff_t>(num_kept_);
  const auto found = std::find_if(kept_.begin(), end, [&](const Kept& kept) { return kept.key == key; });
  if (found != end) return {found->memory, false};
  if (num_kept_ == kept_.size()) kept_.emplace_back();
  Kept& kept = kept_[num_kept_];
  if (kept.bytes < bytes) {
    if (kept.memory != nullptr) release(std::exchange(kept.memory, nullptr), std::exchange(kept.bytes, 0));
    kept.memory = allocate(bytes);
    kept.bytes = bytes;
  }
  kept.key = key;
  ++num_kept_;
  return {kept.memory, true};
}

// One of what goes round, or null where all are in use.
template <class T>
T* CudaStream::taken(std::vector<T*>& all) {
  const std::lock_guard lock(mutex_);
  if (all.empty()) return nullptr;
  T* const last = all.back();
  all.pop_back();
  return last;
}

CudaStream::Pinned CudaStream::take_pinned(int64_t bytes) {
  std::unique_lock lock(mutex_);
  const auto fits = std::find_if(pinned_.begin(), pinned_.end(), [&](const Pinned& p) { return p.bytes >= bytes; });
  if (fits != pinned_.end()) {
    const Pinned pinned = *fits;
    pinned_.erase(fits);
    return pinned;
  }
  lock.unlock();
  Pinned pinned{nullptr, std::max<int64_t>((bytes + 4095) / 4096 * 4096, 1 << 16)};
  check(cudaMallocHost(&pinned.memory, pinned.bytes), "cuda: pinned host memory");
  return pinned;
}

void CudaStream::give_back(Pinned pinned) {
  std::unique_lock lock(mutex_);
  int64_t kept = 0;
  for (const Pinned& other : pinned_) kept += other.bytes;
  if (kept + pinned.bytes > kMostPinned) {
    lock.unlock();  // freeing waits for the device, and the caller's thread is not to wait with it
    cudaFreeHost(pinned.memory);
    return;
  }
  pinned_.insert(std::upper_bound(pinned_.begin(), pinned_.end(), pinned,
                                  [](const Pinned& a, const Pinned& b) { return a.bytes < b.bytes; }),
                 pinned);
}

void* CudaStream::stage(int64_t bytes) {
  const int64_t room = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (staged_ + room > staging_.bytes) {
    const Pinned full = std::exchange(staging_, take_pinned(kStaging));
    staged_ = 0;
    if (full.memory != nullptr) when_done([this, full](const Failure*) { give_back(full); });
  }
  return static_cast<char*>(staging_.memory) + std::exchange(staged_, staged_ + room);
}

void CudaStream::upload(const Tensor& to, const void* from, FileDType dtype, std::shared_ptr<const void>) {
  activate();
  integers_change();
  const bool same = is_same(to.dtype, dtype);
  const bool converts = is_float(dtype) && (is_float(to.dtype) || to.dtype == DType::u16);
  if (!same && !converts) {
    throw Error(ErrorCode::value, is_float(to.dtype) ? "integers cannot fill a tensor of floating-point numbers"
                                                     : std::string("only ") + dtype_name(to.dtype) +
                                                           " can fill a tensor of " + dtype_name(to.dtype));
  }
  const int64_t from_bytes = file_dtype_bytes(dtype), elements = kChunk / from_bytes;
  for (int64_t first = 0; first < to.size(); first += elements) {
    const int64_t count = std::min(elements, to.size() - first);
    const int64_t bytes = count * from_bytes;
    const bool is_small = bytes <= kSmall;
    const Pinned pinned = is_small ? Pinned{stage(bytes), bytes} : take_pinned(bytes);
    std::memcpy(pinned.memory, static_cast<const char*>(from) + first * from_bytes, bytes);
    char* const target = static_cast<char*>(to.data) + first * dtype_bytes(to.dtype);
    void* const arrival = same ? target : scratch(kChunk);
    check(cudaMemcpyAsync(arrival, pinned.memory, bytes, cudaMemcpyHostToDevice, stream_), "cuda: upload");
    if (!same) convert(*this, target, to.dtype, arrival, dtype, count);
    if (!is_small) when_done([this, pinned](const Failure*) { give_back(pinned); });
    if (count == elements) {  // a long upload goes no faster than its copies
      check(cudaStreamSynchronize(stream_), "cuda: upload");
    }
  }
}

void CudaStream::download(const Tensor& from, void* to) {
  activate();
  const int64_t bytes = from.bytes();
  const Pinned pinned = take_pinned(bytes);
  check(cudaMemcpyAsync(pinned.memory, from.data, bytes, cudaMemcpyDeviceToHost, stream_), "cuda: download");
  when_done([=, this](const Failure* failure) {
    if (failure == nullptr) std::memcpy(to, pinned.memory, bytes);
    give_back(pinned);
  });
}

DeviceMemory CudaStream::memory() {
  activate();
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cuda: memory");
  return {static_cast<int64_t>(free), static_cast<int64_t>(total)};
}

void CudaStream::notify(std::function<void(const Failure*)> reached) {
  activate();
  Fault* fault = taken(faults_);
  if (fault == nullptr) check(cudaMallocHost(reinterpret_cast<void**>(&fault), sizeof(Fault)), "cuda: fault record");
  check(cudaMemcpyAsync(fault, fault_, sizeof(Fault), cudaMemcpyDeviceToHost, stream_), "cuda: notify");
  when_done(std::move(reached), fault);
}

void CudaStream::when_done(std::function<void(const Failure*)> then, Fault* fault) {
  cudaEvent_t event = taken(events_);
  if (event == nullptr) check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cuda: event");
  check(cudaEventRecord(event, stream_), "cuda: event");
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({event, std::move(then), std::exchange(kernels_, {}), fault});
  }
  wake_.notify_one();
}

void CudaStream::loop() {
  cudaSetDevice(ordinal_);
  std::vector<Waiting> batch;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      batch.swap(waiting_);
    }
    for (Waiting& waiting : batch) {
      const cudaError_t status = cudaEventSynchronize(waiting.event);
      if (!failure_ && status != cudaSuccess) failure_ = failed(status, waiting.kernels);
      if (!failure_ && waiting.fault != nullptr && waiting.fault->kernel != nullptr) {
        const Fault& fault = *waiting.fault;
        const std::string name = fault.name;
        failure_ = {ErrorCode::value, std::string(fault.kernel) + ": " + name + "[" + std::to_string(fault.index) +
                                          "] = " + std::to_string(fault.value) + ", expected " +
                                          std::to_string(fault.least) + " <= " + name + " < " +
                                          std::to_string(fault.bound)};
      }
      waiting.then(failure_ ? &*failure_ : nullptr);
      const std::lock_guard lock(mutex_);
      events_.push_back(waiting.event);
      if (waiting.fault != nullptr) faults_.push_back(waiting.fault);
    }
    batch.clear();
  }
}

Failure CudaStream::failed(cudaError_t status, const std::vector<const char*>& kernels) const {
  std::string names;
  for (const char* kernel : kernels) {
    if (names.find(kernel) != std::string::npos) continue;
    names += (names.empty() ? "" : ", ") + std::string(kernel);
  }
  return {ErrorCode::cuda, "cuda:" + std::to_string(ordinal_) + ": " + cudaGetErrorString(status) +
                               (names.empty() ? "" : "; one of the kernels since the last wait: " + names)};
}

std::unique_ptr<Stream> make_stream(int ordinal) {
  const std::string missing = missing_reason();
  if (!missing.empty()) throw Error(ErrorCode::device, "cuda: " + missing);
  int count = 0;
  check(cudaGetDeviceCount(&count), "cuda: devices");
  if (ordinal < 0 || ordinal >= count) {
    throw Error(ErrorCode::device, "cuda:" + std::to_string(ordinal) + ": this machine has " + std::to_string(count) +
                                       " (cuda:0 to cuda:" + std::to_string(count - 1) + ")");
  }
  require_matmul();  // before a model is loaded in vain
  return std::make_unique<CudaStream>(ordinal);
}

}  // namespace ww::cuda
