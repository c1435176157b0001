#include "native/cuda/kernel.cuh"
#include "native/cuda/paged_tokens.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 1024;

// least <= values[index] < bound has to hold.
struct Entry {
  int64_t index, least, bound;
};

// Records the first of `count` entries that does not hold. One block, so that it takes no atomics.
template <class EntryOf>
__device__ void check(Fault* fault, const char* kernel, const char* name, const int32_t* values, int64_t count,
                      const EntryOf& entry_of) {
  __shared__ int64_t firsts[kThreads];
  int64_t first = count;
  for (int64_t i = threadIdx.x; i < count && first == count; i += kThreads) {
    const auto [index, least, bound] = entry_of(i);
    if (values[index] < least || values[index] >= bound) first = i;
  }
  firsts[threadIdx.x] = first;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half && firsts[threadIdx.x + half] < firsts[threadIdx.x]) {
      firsts[threadIdx.x] = firsts[threadIdx.x + half];
    }
    __syncthreads();
  }
  first = firsts[0];
  if (threadIdx.x == 0 && first < count && fault->kernel == nullptr) {
    const auto [index, least, bound] = entry_of(first);
    *fault = {kernel, name, index, values[index], least, bound};
  }
  __syncthreads();
}

__global__ void check_indices_kernel(Fault* fault, const char* kernel, const char* name, const int32_t* indices,
                                     int64_t count, int64_t bound) {
  check(fault, kernel, name, indices, count, [=](int64_t i) { return Entry{i, 0, bound}; });
}

// The names come from the host: a literal in a kernel lies in the device's memory.
__global__ void check_mask_kernel(Fault* fault, const char* kernel, const char* start_name, const char* until_name,
                                  const int32_t* sequence_start, const int32_t* visible_until, int64_t T) {
  check(fault, kernel, start_name, sequence_start, T,
        [=](int64_t i) { return Entry{i, i == 0 ? 0 : sequence_start[i - 1], i + 1}; });
  check(fault, kernel, until_name, visible_until, T, [=](int64_t i) { return Entry{i, i + 1, T + 1}; });
}

// An entry for each token and page of its sequence, in which every value holds where the token does not read the page.
__global__ void check_pages_kernel(Fault* fault, const char* kernel, const char* name, PagedTokens tokens) {
  check(fault, kernel, name, tokens.pages, tokens.T * tokens.P, [=](int64_t i) {
    const int64_t t = i / tokens.P, page = i % tokens.P;
    const PagedTokens::Keys keys = tokens.keys(t);
    const bool is_read =
        keys.begin < keys.end && page >= keys.begin / tokens.page_size && page <= (keys.end - 1) / tokens.page_size;
    if (!is_read) return Entry{0, INT64_MIN, INT64_MAX};
    return Entry{tokens.sequences[t] * tokens.P + page, 0, tokens.num_pages};
  });
}

}  // namespace

void check_pages(CudaStream& stream, const char* kernel, const PagedTokens& tokens) {
  launch_kernel(kernel, check_pages_kernel, {1, kThreads}, stream, stream.fault(), kernel, "pages", tokens);
}

void check_indices(CudaStream& stream, const char* kernel, const char* name, const Tensor& indices, int64_t bound) {
  launch_kernel(kernel, check_indices_kernel, {1, kThreads}, stream, stream.fault(), kernel, name,
                indices.as<int32_t>(), indices.size(), bound);
}

void check_mask(CudaStream& stream, const char* kernel, const Tensor& sequence_start, const Tensor& visible_until) {
  launch_kernel(kernel, check_mask_kernel, {1, kThreads}, stream, stream.fault(), kernel, "sequence_start",
                "visible_until", sequence_start.as<int32_t>(), visible_until.as<int32_t>(), sequence_start.size());
}

}  // namespace ww::cuda
