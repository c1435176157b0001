#pragma once

#include "native/core/stream.h"
#include "native/kernels/all.h"
#include "native/kernels/signature.h"

namespace ww {

// Each backend folder defines these; the linker picks cuda/ or cuda/no_cuda.cpp.
#define KERNEL(Args)              \
  namespace cpu {                 \
  void run(const Args&, Stream&); \
  }                               \
  namespace cuda {                \
  void run(const Args&, Stream&); \
  }
#include "native/kernels/kernels.def"
#undef KERNEL

// The one way to run a kernel: check the arguments against its declaration, then enqueue it.
template <class Args>
void launch(Args args, Stream& stream) {
  SignatureChecker checker(Args::kName, stream.device());
  args.visit(checker);
  if (checker.writes_integers()) stream.integers_change();
  switch (stream.device()) {
    case DeviceKind::cpu:
      return cpu::run(args, stream);
    case DeviceKind::cuda:
      return cuda::run(args, stream);
    case DeviceKind::none:
      return;
  }
}

}  // namespace ww
