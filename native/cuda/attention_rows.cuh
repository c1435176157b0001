#pragma once

// Attention in f32, a warp for each row of a head: exact products, no tensor cores.

#include "native/cuda/attention_tiles.cuh"

namespace ww::cuda {

template <class Args>
MaskArrays mask_arrays(const Args& a) {
  return {a.positions.template as<int32_t>(), a.sequence_start.template as<int32_t>(),
          a.visible_until.template as<int32_t>(), static_cast<int>(a.positions.dims[0]), static_cast<int>(a.window)};
}

void attention_rows_forward(const FlashAttentionForward& a, CudaStream& stream);
// `delta` [H,T] = sum_d dy * y.
void attention_rows_backward(const FlashAttentionBackward& a, const float* delta, CudaStream& stream);

}  // namespace ww::cuda
