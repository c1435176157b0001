#include <algorithm>

#include "native/cuda/kernel.cuh"
#include "native/cuda/paged_tokens.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 512;

// least <= values[index] < bound has to hold.
struct Entry {
  const char* name;
  const int32_t* values;
  int64_t index, least, bound;
};

// Records the first of `count` entries that does not hold: the block that finishes last does, for all.
template <class EntryOf>
__device__ void check(FaultRecord* fault, const char* kernel, int64_t count, const EntryOf& entry_of) {
  for (int64_t i = blockIdx.x * int64_t(kThreads) + threadIdx.x; i < count; i += int64_t(gridDim.x) * kThreads) {
    const Entry entry = entry_of(i);
    const int64_t value = entry.values[entry.index];
    if (value >= entry.least && value < entry.bound) continue;
    atomicMax(&fault->nearness, static_cast<unsigned long long>(INT64_MAX - i));
    break;
  }
  __threadfence();
  __syncthreads();
  if (threadIdx.x != 0 || atomicInc(&fault->finished_blocks, gridDim.x - 1) != gridDim.x - 1) return;
  const unsigned long long nearness = atomicMax(&fault->nearness, 0);
  if (nearness == 0 || fault->kernel != nullptr) return;
  const Entry entry = entry_of(INT64_MAX - static_cast<int64_t>(nearness));
  static_cast<Fault&>(*fault) = {kernel, entry.name, entry.index, entry.values[entry.index], entry.least, entry.bound};
}

__global__ void check_indices_kernel(FaultRecord* fault, const char* kernel, const char* name, const int32_t* indices,
                                     int64_t count, int64_t bound) {
  check(fault, kernel, count, [=](int64_t i) { return Entry{name, indices, i, 0, bound}; });
}

// The names come from the host: a literal in a kernel lies in the device's memory.
__global__ void check_mask_kernel(FaultRecord* fault, const char* kernel, const char* start_name,
                                  const char* until_name, const int32_t* sequence_start, const int32_t* visible_until,
                                  int64_t T) {
  check(fault, kernel, 2 * T, [=](int64_t i) {
    const int64_t t = i - T;
    if (t >= 0) return Entry{until_name, visible_until, t, t + 1, T + 1};
    return Entry{start_name, sequence_start, i, i == 0 ? 0 : sequence_start[i - 1], i + 1};
  });
}

// An entry for each token and page of its sequence, in which every value holds where the token does not read the page.
__global__ void check_pages_kernel(FaultRecord* fault, const char* kernel, const char* name, PagedTokens tokens) {
  check(fault, kernel, tokens.T * tokens.P, [=](int64_t i) {
    const int64_t t = i / tokens.P, page = i % tokens.P;
    const PagedTokens::Keys keys = tokens.keys(t);
    const bool is_read =
        keys.begin < keys.end && page >= keys.begin / tokens.page_size && page <= (keys.end - 1) / tokens.page_size;
    if (!is_read) return Entry{name, tokens.pages, 0, INT64_MIN, INT64_MAX};
    return Entry{name, tokens.pages, tokens.sequences[t] * tokens.P + page, 0, tokens.num_pages};
  });
}

// A block for every kThreads entries, and at most as many as run at once.
Grid grid_of(int64_t entries, const CudaStream& stream) {
  const int64_t blocks = ceil_div(entries, kThreads), most = 2 * stream.limits().multiprocessors;
  return {dim3(std::clamp<int64_t>(blocks, 1, most)), kThreads};
}

}  // namespace

void check_pages(CudaStream& stream, const char* kernel, const PagedTokens& tokens) {
  launch_kernel(kernel, check_pages_kernel, grid_of(tokens.T * tokens.P, stream), stream, stream.fault(), kernel,
                "pages", tokens);
}

void check_indices(CudaStream& stream, const char* kernel, const char* name, const Tensor& indices, int64_t bound) {
  launch_kernel(kernel, check_indices_kernel, grid_of(indices.size(), stream), stream, stream.fault(), kernel, name,
                indices.as<int32_t>(), indices.size(), bound);
}

void check_mask(CudaStream& stream, const char* kernel, const Tensor& sequence_start, const Tensor& visible_until) {
  launch_kernel(kernel, check_mask_kernel, grid_of(2 * sequence_start.size(), stream), stream, stream.fault(), kernel,
                "sequence_start", "visible_until", sequence_start.as<int32_t>(), visible_until.as<int32_t>(),
                sequence_start.size());
}

}  // namespace ww::cuda
