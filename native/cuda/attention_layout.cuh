#pragma once

#include "native/cuda/kernel.cuh"

namespace ww::cuda {

// Attention tiles load heads that are 16-byte aligned and a multiple of 8 channels. Tensors that lie so are used as
// they are; of others a padded copy is made in scratch memory, or written there and copied back.

inline int64_t padded_channels(int64_t D) { return round_up(D, 8); }
inline bool needs_copy(const Tensor& heads) {
  return heads.dims[2] % 8 != 0 || reinterpret_cast<uintptr_t>(heads.data) % 16 != 0;
}
inline int64_t copy_bytes(const Tensor& heads) {
  if (!needs_copy(heads)) return 0;
  return round_up(heads.dims[0] * heads.dims[1] * padded_channels(heads.dims[2]) * int64_t(sizeof(bf16)), 256);
}

// The tensor itself, or a copy at `scratch`, which moves on behind it.
bf16* padded_input(const char* kernel, const Tensor& heads, char*& scratch, CudaStream& stream);
bf16* padded_output(const Tensor& heads, char*& scratch);
// Copies what was written to padded_output's memory to the tensor, if that is not the tensor's own.
void finish_output(const char* kernel, const Tensor& heads, const bf16* written, CudaStream& stream);

}  // namespace ww::cuda
