#pragma once

#include "native/core/stream.h"
#include "native/cpu/workers.h"

namespace ww::cpu {

// Copies numbers of `dtype` to a tensor, converted to its dtype. Throws ww::Error (value) for a pair that has no
// meaning.
void load(const Tensor& to, const void* from, FileDType dtype, Workers& workers);

}  // namespace ww::cpu
