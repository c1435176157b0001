#include "native/cuda/kernel.cuh"
#include "native/cuda/paged_tokens.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 1024;

// least <= values[index] < bound has to hold.
struct Entry {
  int64_t index, least, bound;
};

// Records the least of the threads' entries, if there is one before `none`. One block, so that it takes no atomics.
template <class EntryOf>
__device__ void record(Fault* fault, const char* kernel, const char* name, const int32_t* values, int64_t first,
                       int64_t none, const EntryOf& entry_of) {
  __shared__ int64_t firsts[kThreads];
  firsts[threadIdx.x] = first;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half && firsts[threadIdx.x + half] < firsts[threadIdx.x]) {
      firsts[threadIdx.x] = firsts[threadIdx.x + half];
    }
    __syncthreads();
  }
  first = firsts[0];
  if (threadIdx.x == 0 && first < none && fault->kernel == nullptr) {
    const auto [index, least, bound] = entry_of(first);
    *fault = {kernel, name, index, values[index], least, bound};
  }
  __syncthreads();
}

// Records the first of `count` entries that does not hold.
template <class EntryOf>
__device__ void check(Fault* fault, const char* kernel, const char* name, const int32_t* values, int64_t count,
                      const EntryOf& entry_of) {
  int64_t first = count;
  for (int64_t i = threadIdx.x; i < count && first == count; i += kThreads) {
    const auto [index, least, bound] = entry_of(i);
    if (values[index] < least || values[index] >= bound) first = i;
  }
  record(fault, kernel, name, values, first, count, entry_of);
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

// A warp a token, a lane a page. Pages that the token before reads as well are looked at there: of a prompt each once.
__global__ void check_tokens_kernel(Fault* fault, const char* kernel, const char* sequences_name,
                                    const char* positions_name, const char* pages_name, PagedTokens tokens) {
  const int64_t positions = tokens.P * tokens.page_size;
  check(fault, kernel, sequences_name, tokens.sequences, tokens.T, [=](int64_t t) { return Entry{t, 0, tokens.B}; });
  check(fault, kernel, positions_name, tokens.positions, tokens.T, [=](int64_t t) { return Entry{t, 0, positions}; });

  const int64_t none = tokens.T * tokens.P;
  int64_t first = none;
  for (int64_t t = threadIdx.x / kWarp; t < tokens.T && first == none; t += kThreads / kWarp) {
    const PagedTokens::Pages seen = tokens.seen_pages(t);
    int64_t page = seen.begin;
    if (t > 0 && tokens.sequences[t - 1] == tokens.sequences[t]) {
      const PagedTokens::Pages before = tokens.seen_pages(t - 1);
      if (before.begin <= page) page = max(page, before.end);
    }
    for (page += threadIdx.x % kWarp; page < seen.end && first == none; page += kWarp) {
      const int32_t value = tokens.pages[tokens.sequences[t] * tokens.P + page];
      if (value < 0 || value >= tokens.num_pages) first = t * tokens.P + page;
    }
  }
  record(fault, kernel, pages_name, tokens.pages, first, none, [=](int64_t i) {
    return Entry{tokens.sequences[i / tokens.P] * tokens.P + i % tokens.P, 0, tokens.num_pages};
  });
}

}  // namespace

void check_tokens(CudaStream& stream, const char* kernel, const PagedTokens& tokens) {
  launch_kernel(kernel, check_tokens_kernel, {1, kThreads}, stream, stream.fault(), kernel, "sequences", "positions",
                "pages", tokens);
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
