#include <string>

#include "native/cpu/cpu_stream.h"
#include "native/kernels/launch.h"

namespace ww::cpu {

// compute() of every kernel in every instruction set.
#define KERNEL(Args)                                                                  \
  namespace portable {                                                                \
  void compute(const Args&, Workers&);                                                \
  }                                                                                   \
  WW_X86_ONLY(                                                                        \
      namespace avx2 { void compute(const Args&, Workers&); } namespace avx512 {      \
        void compute(const Args&, Workers&);                                          \
      } namespace avx512bf16 { void compute(const Args&, Workers&); } namespace amx { \
        void compute(const Args&, Workers&);                                          \
      })
#if defined(WW_X86_KERNELS)
#define WW_X86_ONLY(...) __VA_ARGS__
#else
#define WW_X86_ONLY(...)
#endif
#include "native/kernels/kernels.def"
#undef KERNEL

#define KERNEL(Args)                                                                    \
  void run(const Args& args, Stream& stream) {                                          \
    CpuStream& cpu = static_cast<CpuStream&>(stream);                                   \
    cpu.enqueue(Args::kName, [args, isa = cpu.isa()](Workers& workers) {                \
      switch (isa) {                                                                    \
        case Isa::portable:                                                             \
          return portable::compute(args, workers);                                      \
          WW_X86_ONLY(case Isa::avx2 : return avx2::compute(args, workers);             \
                      case Isa::avx512 : return avx512::compute(args, workers);         \
                      case Isa::avx512bf16 : return avx512bf16::compute(args, workers); \
                      case Isa::amx : return amx::compute(args, workers);)              \
      }                                                                                 \
    });                                                                                 \
  }
#include "native/kernels/kernels.def"
#undef KERNEL

namespace {

void check_index(const char* name, const Tensor& indices, int64_t i, int64_t low, int64_t bound) {
  const int32_t value = indices.as<int32_t>()[i];
  if (value >= low && value < bound) return;
  throw Error(ErrorCode::value, std::string(name) + "[" + std::to_string(i) + "] = " + std::to_string(value) +
                                    ", expected " + std::to_string(low) + " <= " + name + " < " +
                                    std::to_string(bound));
}

}  // namespace

void check_indices(const char* name, const Tensor& indices, int64_t begin, int64_t end, int64_t bound) {
  for (int64_t i = begin; i < end; ++i) check_index(name, indices, i, 0, bound);
}

void check_indices(const char* name, const Tensor& indices, int64_t bound) {
  check_indices(name, indices, 0, indices.size(), bound);
}

void check_mask(const Tensor& sequence_start, const Tensor& visible_until) {
  const int64_t T = sequence_start.size();
  int64_t start = 0;
  for (int64_t t = 0; t < T; ++t) {
    check_index("sequence_start", sequence_start, t, start, t + 1);
    check_index("visible_until", visible_until, t, t + 1, T + 1);
    start = sequence_start.as<int32_t>()[t];
  }
}

}  // namespace ww::cpu
