#pragma once

#include "native/cuda/kernel.cuh"

namespace ww::cuda {

// Where the tokens of a call stand, and where the keys of their sequences lie: native/kernels/paged_attention.h.
struct PagedTokens {
  struct Keys {
    int64_t begin, end;  // positions
  };

  const int32_t *pages, *sequences, *positions;  // [B, P], [T], [T]
  int64_t T, B, P, num_pages, page_size, window;

  // The keys that token t sees: none where its sequence or position is not one.
  __device__ __forceinline__ Keys keys(int64_t t) const {
    const int64_t sequence = sequences[t], position = positions[t];
    if (sequence < 0 || sequence >= B || position < 0 || position >= P * page_size) return {0, 0};
    return {window > 0 ? max(int64_t(0), position + 1 - window) : 0, position + 1};
  }

  // The page of a position that a token of the sequence sees, or -1 where it is not one, and the position's slot.
  __device__ __forceinline__ int32_t page(int64_t sequence, int64_t position) const {
    const int32_t page = pages[sequence * P + position / page_size];
    return page >= 0 && page < num_pages ? page : -1;
  }
  __device__ __forceinline__ int64_t slot(int64_t sequence, int64_t position) const {
    const int64_t its_page = page(sequence, position);
    return its_page < 0 ? -1 : its_page * page_size + position % page_size;
  }
};

// Fails the stream for the first sequence or position that is none, or else for the first page, by tokens and then by
// positions, that is read and lies outside [0, num_pages).
void check_tokens(CudaStream& stream, const char* kernel, const PagedTokens& tokens);

}  // namespace ww::cuda
