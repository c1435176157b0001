#include "native/cuda/cuda_stream.h"
#include "native/kernels/launch.h"

namespace ww::cuda {

void run(const LinearForward&, Stream&) { throw Error(ErrorCode::device, "placeholder"); }
void run(const LinearBackwardInput&, Stream&) { throw Error(ErrorCode::device, "placeholder"); }
void run(const LinearBackwardWeight&, Stream&) { throw Error(ErrorCode::device, "placeholder"); }

}  // namespace ww::cuda
