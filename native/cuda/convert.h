#pragma once

#include "native/cuda/cuda_stream.h"

namespace ww::cuda {

// Turns `count` numbers of a weights file that lie on the device into those of a tensor, as FileDType says.
void convert(CudaStream& stream, void* to, DType to_dtype, const void* from, FileDType from_dtype, int64_t count);

}  // namespace ww::cuda
