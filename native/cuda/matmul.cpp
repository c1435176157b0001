#include "native/cuda/matmul.h"

#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <bit>
#include <compare>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <vector>

#include "native/cuda/cublaslt.h"
#include "native/cuda/matmul_choices.h"
#include "native/kernels/backend.h"

namespace ww::cuda {

namespace {

using namespace cublaslt;

constexpr int64_t kWorkspaceBytes = int64_t(64) << 20;  // for sums that are split between blocks
constexpr int kCandidates = 8;
constexpr int kRounds = 3;              // every candidate is timed in each
constexpr float kShortestTiming = 0.1;  // ms: a product is repeated until it takes that long
constexpr float kNever = std::numeric_limits<float>::infinity();
constexpr float kFasterBy = 0.98;       // the choice gives way to one that takes less than this share of its time
constexpr int64_t kMostAlignment = 16;  // bytes: no access is wider
constexpr size_t kMostPlans = 4096;     // batches of every length would fill the memory

void expect(Status status, const char* kernel, const char* what) {
  if (status == kSuccess) return;
  throw Error(ErrorCode::cuda, std::string(kernel) + ": cuBLASLt: " + what + " failed with status " +
                                   std::to_string(static_cast<int>(status)));
}

template <class T>
using Owned = std::unique_ptr<T, Status (*)(T*)>;

template <class T, class... Args>
Owned<T> make(const char* kernel, Status (*create)(T**, Args...), Status (*destroy)(T*),
              std::type_identity_t<Args>... args) {
  T* made = nullptr;
  expect(create(&made, args...), kernel, "a descriptor");
  return {made, destroy};
}

// Everything that an algorithm may depend on.
struct Shape {
  int64_t M, N, K, a_stride, b_stride, c_stride;
  bool a_transposed, b_transposed, add;
  DType in, out;
  uint32_t a_alignment, b_alignment, c_alignment;

  explicit Shape(const Product& p)
      : M(p.M),
        N(p.N),
        K(p.K),
        a_stride(p.a.stride),
        b_stride(p.b.stride),
        c_stride(p.stride),
        a_transposed(p.a.transposed),
        b_transposed(p.b.transposed),
        add(p.add),
        in(p.in),
        out(p.out),
        a_alignment(alignment(p.a.data)),
        b_alignment(alignment(p.b.data)),
        c_alignment(alignment(p.c)) {}

  auto operator<=>(const Shape&) const = default;

  // The product in words. Lengths are rounded up to one of eight steps from a power of two to the next: batches are of
  // many lengths, and one choice serves those of about the same.
  std::string text() const {
    const auto rounded = [](int64_t length) {
      const int64_t step = std::bit_floor(static_cast<uint64_t>(length)) / 8;
      return std::to_string(step == 0 ? length : (length + step - 1) / step * step);
    };
    const auto factor = [&](int64_t stride, bool transposed, uint32_t alignment) {
      return " " + std::string(dtype_name(in)) + (transposed ? "^T " : " ") + std::to_string(stride) + "@" +
             std::to_string(alignment);
    };
    return rounded(M) + "x" + rounded(N) + "x" + rounded(K) + factor(a_stride, a_transposed, a_alignment) +
           factor(b_stride, b_transposed, b_alignment) + (add ? " += " : " = ") + dtype_name(out) + " " +
           std::to_string(c_stride) + "@" + std::to_string(c_alignment);
  }

 private:
  static uint32_t alignment(const void* address) {
    const auto bits = reinterpret_cast<uintptr_t>(address) | kMostAlignment;
    return static_cast<uint32_t>(bits & -bits);
  }
};

DataType data_type(DType dtype) { return dtype == DType::bf16 ? kR16BF : kR32F; }

// A product as cuBLASLt sees it: matrices lie by columns there, so it computes the transpose, c^T = b^T a^T.
struct Plan {
  Owned<MatmulDesc> desc;
  Owned<MatrixLayout> a, b, c;
  bool possible = false;  // with operands that lie as these do
  Algo algo;

  Plan(const Library& lt, const char* kernel, const Shape& s)
      : desc(make(kernel, lt.create_desc, lt.destroy_desc, kCompute32F, kR32F)),
        a(layout(lt, kernel, s.in, s.M, s.K, s.a_stride, s.a_transposed)),
        b(layout(lt, kernel, s.in, s.K, s.N, s.b_stride, s.b_transposed)),
        c(layout(lt, kernel, s.out, s.M, s.N, s.c_stride, false)) {
    const Operation first = s.b_transposed ? kOperationT : kOperationN;
    const Operation second = s.a_transposed ? kOperationT : kOperationN;
    expect(lt.set_desc(desc.get(), kTransA, &first, sizeof(first)), kernel, "an attribute");
    expect(lt.set_desc(desc.get(), kTransB, &second, sizeof(second)), kernel, "an attribute");
  }

 private:
  static Owned<MatrixLayout> layout(const Library& lt, const char* kernel, DType dtype, int64_t rows, int64_t columns,
                                    int64_t stride, bool transposed) {
    if (transposed) std::swap(rows, columns);
    return make(kernel, lt.create_layout, lt.destroy_layout, data_type(dtype), columns, rows, stride);
  }
};

class Event {
 public:
  Event() { check(cudaEventCreate(&event_), "cuda: event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace

// What a stream keeps for its products.
class MatmulState {
 public:
  explicit MatmulState(CudaStream& stream)
      : lt_(library()),
        context_(make("matmul", lt_.create, lt_.destroy)),
        stream_(stream),
        workspace_(stream.allocate(kWorkspaceBytes)),
        choices_(gpu_name(), lt_.version) {
    const char* tuning = std::getenv("WESTWIND_MATMUL_TUNING");
    tunes_ = tuning == nullptr || std::string(tuning) != "0";
  }
  ~MatmulState() { stream_.release(workspace_, kWorkspaceBytes); }

  void run(const char* kernel, const Product& p) {
    const Plan& plan = plan_of(kernel, p);
    if (!plan.possible) return run_copies(kernel, p);
    expect(multiply(plan, plan.algo, p, p.c), kernel, "the product");
  }

 private:
  static std::string gpu_name() {
    int device = 0;
    cudaDeviceProp properties;
    check(cudaGetDevice(&device), "cuda: device");
    check(cudaGetDeviceProperties(&properties, device), "cuda: device");
    return properties.name;
  }

  Status multiply(const Plan& plan, const Algo& algo, const Product& p, void* c) const {
    const float one = 1, beta = p.add ? 1 : 0;
    return lt_.matmul(context_.get(), plan.desc.get(), &one, p.b.data, plan.b.get(), p.a.data, plan.a.get(), &beta, c,
                      plan.c.get(), c, plan.c.get(), &algo, workspace_, kWorkspaceBytes, stream_.handle());
  }

  const Plan& plan_of(const char* kernel, const Product& p) {
    const Shape shape(p);
    if (const auto at = plans_.find(shape); at != plans_.end()) return at->second;
    Plan plan(lt_, kernel, shape);
    const std::string text = shape.text();
    const std::optional<Algo> stored = choices_.find(text);
    if (stored && works(plan, *stored)) {
      plan.possible = true;
      plan.algo = *stored;
    } else if (const std::vector<Algo> candidates = heuristic(kernel, plan, shape); !candidates.empty()) {
      plan.possible = true;
      plan.algo = candidates[0];
      // A choice that does not work at this length stays: it does at others.
      if (!stored && tunes_ && !is_capturing()) {
        if (const std::optional<Algo> best = fastest(plan, candidates, p)) {
          const Algo algo = choices_.store(text, *best);
          if (works(plan, algo)) plan.algo = algo;
        }
      }
    }
    if (plans_.size() >= kMostPlans) plans_.clear();
    return plans_.emplace(shape, std::move(plan)).first->second;
  }

  bool works(const Plan& plan, const Algo& algo) const {
    HeuristicResult result;
    const Status status = lt_.check_algo(context_.get(), plan.desc.get(), plan.b.get(), plan.a.get(), plan.c.get(),
                                         plan.c.get(), &algo, &result);
    return status == kSuccess && result.workspace_bytes <= kWorkspaceBytes;
  }

  std::vector<Algo> heuristic(const char* kernel, const Plan& plan, const Shape& shape) const {
    const auto preference = make(kernel, lt_.create_preference, lt_.destroy_preference);
    const auto set = [&](PreferenceAttribute attribute, auto value) {
      expect(lt_.set_preference(preference.get(), attribute, &value, sizeof(value)), kernel, "a preference");
    };
    set(kMaxWorkspaceBytes, uint64_t(kWorkspaceBytes));
    set(kReductionSchemeMask, uint32_t(kReductionComputeType));
    set(kMinAlignmentABytes, shape.b_alignment);
    set(kMinAlignmentBBytes, shape.a_alignment);
    set(kMinAlignmentCBytes, shape.c_alignment);
    set(kMinAlignmentDBytes, shape.c_alignment);
    HeuristicResult results[kCandidates];
    int count = 0;
    const Status status = lt_.get_heuristic(context_.get(), plan.desc.get(), plan.b.get(), plan.a.get(), plan.c.get(),
                                            plan.c.get(), preference.get(), kCandidates, results, &count);
    std::vector<Algo> algos;
    if (status == kNotSupported) return algos;
    expect(status, kernel, "the choice of an algorithm");
    for (int i = 0; i < count; ++i) {
      if (results[i].state == kSuccess) algos.push_back(results[i].algo);
    }
    return algos;
  }

  bool is_capturing() const {
    cudaStreamCaptureStatus status;
    check(cudaStreamIsCapturing(stream_.handle(), &status), "cuda: capture");
    return status != cudaStreamCaptureStatusNone;
  }

  // Of the candidates, by timing each on the operands. Waits for the stream: once for each kind of product and machine.
  // Nothing if the memory for another result is not there.
  std::optional<Algo> fastest(const Plan& plan, const std::vector<Algo>& candidates, const Product& p) {
    void* c = p.c;
    const int64_t bytes = ((p.M - 1) * p.stride + p.N) * dtype_bytes(p.out);
    if (p.add) {
      try {
        c = stream_.allocate(bytes);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::out_of_memory) throw;
        return std::nullopt;
      }
      check(cudaMemsetAsync(c, 0, bytes, stream_.handle()), "cuda: choosing an algorithm");
    }
    const Event start, stop;
    const auto time = [&](const Algo& algo, int repeats) {
      float milliseconds = 0;
      check(cudaEventRecord(start, stream_.handle()), "cuda: choosing an algorithm");
      for (int i = 0; i < repeats; ++i) {
        if (multiply(plan, algo, p, c) != kSuccess) return kNever;
      }
      check(cudaEventRecord(stop, stream_.handle()), "cuda: choosing an algorithm");
      check(cudaEventSynchronize(stop), "cuda: choosing an algorithm");
      check(cudaEventElapsedTime(&milliseconds, start, stop), "cuda: choosing an algorithm");
      return milliseconds / static_cast<float>(repeats);
    };

    std::vector<float> times(candidates.size(), kNever);
    for (const Algo& algo : candidates) time(algo, 1);  // the first launch of a kernel loads it
    const float once = std::max(time(candidates[0], 1), 1e-3f);
    const int repeats = std::clamp(static_cast<int>(kShortestTiming / once) + 1, 1, 20);
    for (int round = 0; round < kRounds; ++round) {
      for (size_t i = 0; i < candidates.size(); ++i) times[i] = std::min(times[i], time(candidates[i], repeats));
    }
    if (p.add) stream_.release(c, bytes);
    size_t best = 0;
    for (size_t i = 1; i < candidates.size(); ++i) {
      if (times[i] < kFasterBy * times[best]) best = i;
    }
    return candidates[best];
  }

  // No algorithm takes operands that lie like these: multiplies copies with rows and starts that are aligned.
  void run_copies(const char* kernel, const Product& p) {
    struct Copy {
      void* memory;
      int64_t bytes, stride;
    };
    const auto copy_of = [&](const void* from, int64_t rows, int64_t columns, int64_t stride, DType dtype, bool fill) {
      const int64_t size = dtype_bytes(dtype), unit = kMostAlignment / size;
      Copy copy{nullptr, 0, (columns + unit - 1) / unit * unit};
      copy.bytes = rows * copy.stride * size;
      copy.memory = stream_.allocate(copy.bytes);
      if (fill) copy_rows(copy.memory, copy.stride, from, stride, rows, columns, size);
      return copy;
    };
    const auto factor = [&](const Factor& f, int64_t rows, int64_t columns) {
      if (f.transposed) std::swap(rows, columns);
      return copy_of(f.data, rows, columns, f.stride, p.in, true);
    };
    const Copy a = factor(p.a, p.M, p.K), b = factor(p.b, p.K, p.N);
    const Copy c = copy_of(p.c, p.M, p.N, p.stride, p.out, p.add);
    Product copied = p;
    copied.a = {a.memory, a.stride, p.a.transposed};
    copied.b = {b.memory, b.stride, p.b.transposed};
    copied.c = c.memory;
    copied.stride = c.stride;
    const Plan& plan = plan_of(kernel, copied);
    expect(plan.possible ? multiply(plan, plan.algo, copied, copied.c) : kNotSupported, kernel, "the product");
    copy_rows(p.c, p.stride, c.memory, c.stride, p.M, p.N, dtype_bytes(p.out));
    for (const Copy& copy : {a, b, c}) stream_.release(copy.memory, copy.bytes);
  }

  void copy_rows(void* to, int64_t to_stride, const void* from, int64_t from_stride, int64_t rows, int64_t columns,
                 int64_t size) const {
    check(cudaMemcpy2DAsync(to, to_stride * size, from, from_stride * size, columns * size, rows,
                            cudaMemcpyDeviceToDevice, stream_.handle()),
          "cuda: aligning a product");
  }

  const Library& lt_;
  Owned<Context> context_;
  CudaStream& stream_;
  void* workspace_;
  MatmulChoices choices_;
  std::map<Shape, Plan> plans_;
  bool tunes_;
};

void matmul(const char* kernel, const Product& product, CudaStream& stream) {
  if (product.M == 0 || product.N == 0 || (product.K == 0 && product.add)) return;
  stream.begin(kernel);
  if (product.K == 0) {
    const int64_t size = dtype_bytes(product.out);
    return check(cudaMemset2DAsync(product.c, product.stride * size, 0, product.N * size, product.M, stream.handle()),
                 kernel);
  }
  std::shared_ptr<MatmulState>& state = stream.matmul_state();
  if (state == nullptr) state = std::make_shared<MatmulState>(stream);
  nvtxRangePushA(kernel);
  state->run(kernel, product);
  nvtxRangePop();
}

void require_matmul() { library(); }

std::vector<LibraryInfo> libraries() {
  if (devices().empty()) return {};
  try {
    const Library& lt = library();
    const auto part = [&](size_t unit) { return std::to_string(lt.version / unit % 100); };
    return {{"cuBLASLt", part(10000) + "." + part(100) + "." + part(1), lt.path, ""}};
  } catch (const Error& error) {
    return {{"cuBLASLt", "", "", error.what()}};
  }
}

}  // namespace ww::cuda
