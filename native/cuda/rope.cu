#include "native/cuda/cuda_stream.h"
#include "native/kernels/launch.h"

namespace ww::cuda {

void run(const RopeForward&, Stream&) { throw Error(ErrorCode::device, "placeholder"); }
void run(const RopeBackward&, Stream&) { throw Error(ErrorCode::device, "placeholder"); }

}  // namespace ww::cuda
