#include "native/kernels/cast.h"

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kChunk = 1 << 16;

}  // namespace

void compute(const Cast& a, Workers& workers) {
  const int64_t N = a.y.size(), chunks = ceil_div(N, kChunk);
  if (a.x.dtype == a.y.dtype) {
    const char* x = a.x.as<char>();
    char* y = a.y.as<char>();
    const int64_t bytes = dtype_bytes(a.y.dtype);
    workers.parallel_for(chunks, [=](int64_t chunk, int) {
      const int64_t begin = chunk * kChunk, n = min(kChunk, N - begin);
      __builtin_memmove(y + begin * bytes, x + begin * bytes, n * bytes);
    });
    return;
  }
  dispatch_float(a.x.dtype, [&]<class From>() {
    dispatch_float(a.y.dtype, [&]<class To>() {
      const From* x = a.x.as<From>();
      To* y = a.y.as<To>();
      workers.parallel_for(chunks, [=](int64_t chunk, int) {
        const int64_t begin = chunk * kChunk;
        for_each_vector(min(kChunk, N - begin),
                        [=](int64_t i, int64_t n) { store(y + begin + i, load(x + begin + i, n), n); });
      });
    });
  });
}

}  // namespace ww::cpu::WW_ISA
