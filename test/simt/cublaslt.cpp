// The part of cuBLASLt that native/cuda/matmul.cpp calls, by loops on the CPU: stricter than the library, so that what
// it might refuse is met here. Matrices lie by columns: element (i, j) is data[i + j * leading].
#include "native/cuda/cublaslt.h"

#include <algorithm>
#include <vector>

#include "native/core/bfloat16.h"
#include "test/simt/memory.h"

namespace ww::cuda::cublaslt {

struct Context {};
struct MatmulDesc {
  Operation a = kOperationN, b = kOperationN;
};
struct MatrixLayout {
  DataType type;
  int64_t rows, columns, leading;
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t schemes = 7, alignments[4] = {256, 256, 256, 256};
};

namespace {

constexpr Status kInvalidValue{7};
constexpr uint64_t kMark = 0x5f17;  // of an algorithm
constexpr int kAlgos = 3;

int64_t bytes_of(DataType type) { return type == kR16BF ? 2 : 4; }

template <class T>
Status make(T** made, T value = {}) {
  *made = new T(value);
  return kSuccess;
}
template <class T>
Status destroy(T* made) {
  delete made;
  return kSuccess;
}

Status create_desc(MatmulDesc** desc, ComputeType compute, DataType scale) {
  return compute == kCompute32F && scale == kR32F ? make(desc) : kNotSupported;
}

Status set_desc(MatmulDesc* desc, MatmulDescAttribute attribute, const void* value, size_t bytes) {
  if (bytes != sizeof(Operation)) return kInvalidValue;
  (attribute == kTransA ? desc->a : desc->b) = *static_cast<const Operation*>(value);
  return kSuccess;
}

Status create_layout(MatrixLayout** layout, DataType type, uint64_t rows, uint64_t columns, int64_t leading) {
  if (rows == 0 || columns == 0 || leading < static_cast<int64_t>(rows)) return kInvalidValue;
  return make(layout, {type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading});
}

Status set_preference(Preference* preference, PreferenceAttribute attribute, const void* value, size_t bytes) {
  if (bytes != (attribute == kMaxWorkspaceBytes ? 8 : 4)) return kInvalidValue;
  if (attribute == kMaxWorkspaceBytes) {
    preference->workspace = *static_cast<const uint64_t*>(value);
  } else if (attribute == kReductionSchemeMask) {
    preference->schemes = *static_cast<const uint32_t*>(value);
  } else {
    preference->alignments[attribute - kMinAlignmentABytes] = *static_cast<const uint32_t*>(value);
  }
  return kSuccess;
}

int64_t outer_of(const MatrixLayout& a, Operation op) { return op == kOperationT ? a.columns : a.rows; }
int64_t inner_of(const MatrixLayout& a, Operation op) { return op == kOperationT ? a.rows : a.columns; }

Status fits(const MatmulDesc& desc, const MatrixLayout& a, const MatrixLayout& b, const MatrixLayout& c) {
  const bool lengths =
      outer_of(a, desc.a) == c.rows && inner_of(b, desc.b) == c.columns && inner_of(a, desc.a) == outer_of(b, desc.b);
  if (!lengths) return kInvalidValue;
  return a.type == b.type && (c.type == a.type || c.type == kR32F) ? kSuccess : kNotSupported;
}

Status get_heuristic(Context*, MatmulDesc* desc, MatrixLayout* a, MatrixLayout* b, MatrixLayout* c, MatrixLayout*,
                     Preference* preference, int wanted, HeuristicResult* results, int* found) {
  *found = 0;
  if (preference->schemes != kReductionComputeType) return kInvalidValue;
  if (const Status status = fits(*desc, *a, *b, *c); status != kSuccess) return status;
  int i = 0;
  for (const MatrixLayout* matrix : {a, b, c}) {
    const uint32_t needed = matrix->type == kR16BF ? 16 : 4;
    if (preference->alignments[i++] < needed || matrix->leading * bytes_of(matrix->type) % needed != 0) {
      return kNotSupported;
    }
  }
  for (; *found < std::min(wanted, kAlgos); ++*found) {
    results[*found] = {{{kMark, static_cast<uint64_t>(*found)}}, preference->workspace, kSuccess, 1.0f, {}};
  }
  return kSuccess;
}

Status check_algo(Context*, MatmulDesc* desc, MatrixLayout* a, MatrixLayout* b, MatrixLayout* c, MatrixLayout*,
                  const Algo* algo, HeuristicResult* result) {
  result->workspace_bytes = 0;
  return algo->data[0] == kMark && algo->data[1] < kAlgos ? fits(*desc, *a, *b, *c) : kInvalidValue;
}

// op(a) as rows[0, outer) of columns[0, inner).
template <class T>
std::vector<double> widen(const void* from, const MatrixLayout& a, Operation op) {
  const T* data = static_cast<const T*>(from);
  const int64_t outer = outer_of(a, op), inner = inner_of(a, op);
  std::vector<double> wide(outer * inner);
  for (int64_t i = 0; i < outer; ++i) {
    for (int64_t k = 0; k < inner; ++k) {
      wide[i * inner + k] = static_cast<float>(data[op == kOperationT ? k + i * a.leading : i + k * a.leading]);
    }
  }
  return wide;
}

template <class T, class Out>
void multiply(const MatmulDesc& desc, const void* a_data, const MatrixLayout& a, const void* b_data,
              const MatrixLayout& b, bool add, void* to, const MatrixLayout& c) {
  const std::vector<double> first = widen<T>(a_data, a, desc.a), second = widen<T>(b_data, b, desc.b);
  const int64_t M = c.rows, N = c.columns, K = inner_of(a, desc.a);
  std::vector<double> sums(N);
  for (int64_t m = 0; m < M; ++m) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t k = 0; k < K; ++k) {
      const double factor = first[m * K + k];
      for (int64_t n = 0; n < N; ++n) sums[n] += factor * second[k * N + n];
    }
    for (int64_t n = 0; n < N; ++n) {
      Out& element = static_cast<Out*>(to)[m + n * c.leading];
      const auto sum = static_cast<float>(sums[n]);
      element = Out(add ? static_cast<float>(element) + sum : sum);
    }
  }
}

Status matmul(Context*, MatmulDesc* desc, const float* alpha, const void* a, MatrixLayout* a_layout, const void* b,
              MatrixLayout* b_layout, const float* beta, const void* c, MatrixLayout* c_layout, void* d, MatrixLayout*,
              const Algo*, void*, size_t, CUstream_st*) {
  if (*alpha != 1 || (*beta != 0 && *beta != 1) || c != d) return kNotSupported;
  simt::run_copies();
  const auto go = [&](auto multiply) { multiply(*desc, a, *a_layout, b, *b_layout, *beta == 1, d, *c_layout); };
  if (a_layout->type == kR32F) {
    go(multiply<float, float>);
  } else if (c_layout->type == kR32F) {
    go(multiply<bfloat16, float>);
  } else {
    go(multiply<bfloat16, bfloat16>);
  }
  return kSuccess;
}

}  // namespace

const Library& library() {
  static const Library emulated{
      .path = "test/simt/cublaslt.cpp",
      .create = [](Context** context) { return make(context); },
      .destroy = destroy<Context>,
      .create_desc = create_desc,
      .destroy_desc = destroy<MatmulDesc>,
      .set_desc = set_desc,
      .create_layout = create_layout,
      .destroy_layout = destroy<MatrixLayout>,
      .create_preference = [](Preference** preference) { return make(preference); },
      .destroy_preference = destroy<Preference>,
      .set_preference = set_preference,
      .get_heuristic = get_heuristic,
      .check_algo = check_algo,
      .matmul = matmul,
  };
  return emulated;
}

}  // namespace ww::cuda::cublaslt
