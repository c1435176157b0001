#pragma once

#include "native/cuda/cuda_stream.h"
#include "native/kernels/flash_attention.h"

namespace ww::cuda {

// Attention by wgmma and TMA. False, and nothing done, unless the GPU is Hopper, the tensors are bf16 at multiples of
// 16 bytes, and D is 64 or 128. WESTWIND_ATTENTION=mma turns it off, to compare with the kernels that serve all others.
bool hopper_forward(const FlashAttentionForward& args, CudaStream& stream);
bool hopper_backward(const FlashAttentionBackward& args, CudaStream& stream);

}  // namespace ww::cuda
