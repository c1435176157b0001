#pragma once

#include "native/cuda/paged_tokens.cuh"
#include "native/kernels/paged_attention.h"

namespace ww::cuda {

// In f32, and in bf16 by tensor cores. What tokens that are none, and their pages, lead to is not read or written.
void paged_attention_rows(const PagedAttention& args, const PagedTokens& tokens, CudaStream& stream);
void paged_attention_tiles(const PagedAttention& args, const PagedTokens& tokens, CudaStream& stream);

}  // namespace ww::cuda
