#include <algorithm>

#include "native/cuda/kernel.cuh"
#include "native/cuda/paged_tokens.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;

// least <= values[index] < bound has to hold. The name comes from the host: a literal in a kernel lies in the device's
// memory.
struct Entry {
  const char* name;
  const int32_t* values;
  int64_t index, least, bound;
};

struct IndexEntries {
  const char* name;
  const int32_t* indices;
  int64_t bound;

  __device__ Entry operator()(int64_t i) const { return {name, indices, i, 0, bound}; }
};

// First all starts, then all ends.
struct MaskEntries {
  const char *start_name, *until_name;
  const int32_t *sequence_start, *visible_until;
  int64_t T;

  __device__ Entry operator()(int64_t i) const {
    if (i < T) return {start_name, sequence_start, i, i == 0 ? 0 : sequence_start[i - 1], i + 1};
    return {until_name, visible_until, i - T, i - T + 1, T + 1};
  }
};

// The tokens' sequences, then their positions, then an entry for each token and page of its sequence, in which every
// value holds where the token does not read the page.
struct TokenEntries {
  const char *sequences_name, *positions_name, *pages_name;
  PagedTokens tokens;

  __device__ Entry operator()(int64_t i) const {
    const int64_t T = tokens.T, P = tokens.P;
    if (i < T) return {sequences_name, tokens.sequences, i, 0, tokens.B};
    if (i < 2 * T) return {positions_name, tokens.positions, i - T, 0, P * tokens.page_size};
    const int64_t t = (i - 2 * T) / P, page = (i - 2 * T) % P;
    const PagedTokens::Keys keys = tokens.keys(t);
    const bool is_read =
        keys.begin < keys.end && page >= keys.begin / tokens.page_size && page <= (keys.end - 1) / tokens.page_size;
    if (!is_read) return {pages_name, tokens.pages, 0, INT64_MIN, INT64_MAX};
    return {pages_name, tokens.pages, tokens.sequences[t] * P + page, 0, tokens.num_pages};
  }
};

// Records the first of `count` entries that does not hold. Blocks join what they found in the record; the one that
// comes last reads it.
template <class Entries>
__global__ void __launch_bounds__(kThreads)
    check_kernel(FaultRecord* fault, const char* kernel, Entries entries, int64_t count) {
  __shared__ int64_t of_warps[kWarps];
  int64_t first = count;
  for (int64_t i = blockIdx.x * int64_t(kThreads) + threadIdx.x; i < count; i += gridDim.x * int64_t(kThreads)) {
    const Entry entry = entries(i);
    const int64_t value = entry.values[entry.index];
    if (value < entry.least || value >= entry.bound) first = min(first, i);
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) first = min(first, __shfl_xor_sync(kAllLanes, first, offset));
  if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = first;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int warp = 1; warp < kWarps; ++warp) first = min(first, of_warps[warp]);
  if (first < count) atomicMax(&fault->left, static_cast<unsigned long long>(count - first));
  __threadfence();
  if (atomicInc(&fault->blocks, gridDim.x - 1) < gridDim.x - 1) return;
  first = count - static_cast<int64_t>(atomicExch(&fault->left, 0ull));
  if (first == count || fault->kernel != nullptr) return;
  const Entry entry = entries(first);
  fault->name = entry.name;
  fault->index = entry.index;
  fault->value = entry.values[entry.index];
  fault->least = entry.least;
  fault->bound = entry.bound;
  fault->kernel = kernel;
}

template <class Entries>
void check(CudaStream& stream, const char* kernel, const Entries& entries, int64_t count) {
  const int64_t blocks = std::min<int64_t>(ceil_div(count, kThreads), 2 * stream.limits().multiprocessors);
  launch_kernel(kernel, check_kernel<Entries>, {dim3(static_cast<unsigned>(blocks)), kThreads}, stream, stream.fault(),
                kernel, entries, count);
}

}  // namespace

void check_indices(CudaStream& stream, const char* kernel, const char* name, const Tensor& indices, int64_t bound) {
  const int32_t* const values = indices.as<int32_t>();
  if (!stream.is_new_check({{values}, {indices.size(), bound}})) return;
  check(stream, kernel, IndexEntries{name, values, bound}, indices.size());
}

void check_mask(CudaStream& stream, const char* kernel, const Tensor& sequence_start, const Tensor& visible_until) {
  const int32_t *const start = sequence_start.as<int32_t>(), *const until = visible_until.as<int32_t>();
  const int64_t T = sequence_start.size();
  if (!stream.is_new_check({{start, until}, {T}})) return;
  check(stream, kernel, MaskEntries{"sequence_start", "visible_until", start, until, T}, 2 * T);
}

void check_tokens(CudaStream& stream, const char* kernel, const PagedTokens& tokens) {
  const auto& [pages, sequences, positions, T, B, P, num_pages, page_size, window] = tokens;
  if (!stream.is_new_check({{pages, sequences, positions}, {T, B, P, num_pages, page_size, window}})) return;
  check(stream, kernel, TokenEntries{"sequences", "positions", "pages", tokens}, 2 * T + T * P);
}

}  // namespace ww::cuda
