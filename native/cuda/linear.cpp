#include "native/kernels/linear.h"

#include "native/cuda/matmul.h"
#include "native/kernels/launch.h"

namespace ww::cuda {

void run(const LinearForward& a, Stream& stream) {
  const int64_t R = a.x.dims[0], C = a.x.dims[1], F = a.weight.dims[0];
  const Factor x{a.x.data, C}, weight{a.weight.data, C, true};
  matmul(a.kName, {R, F, C, a.x.dtype, x, weight, a.y.dtype, a.y.data, F}, static_cast<CudaStream&>(stream));
}

void run(const LinearBackwardInput& a, Stream& stream) {
  const int64_t R = a.dy.dims[0], F = a.dy.dims[1], C = a.weight.dims[1];
  const Factor dy{a.dy.data, F}, weight{a.weight.data, C};
  matmul(a.kName, {R, C, F, a.dy.dtype, dy, weight, a.dx.dtype, a.dx.data, C}, static_cast<CudaStream&>(stream));
}

void run(const LinearBackwardWeight& a, Stream& stream) {
  const int64_t R = a.dy.dims[0], F = a.dy.dims[1], C = a.x.dims[1];
  const Factor dy{a.dy.data, F, true}, x{a.x.data, C};
  matmul(a.kName, {F, C, R, a.dy.dtype, dy, x, DType::f32, a.dweight.data, C, true}, static_cast<CudaStream&>(stream));
}

}  // namespace ww::cuda
