#include "native/kernels/add.h"

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

void compute(const Add& args, Workers& workers) {
  constexpr int64_t kChunk = 1 << 14;
  const int64_t n = args.y.size();
  dispatch_float(args.y.dtype, [&]<class T>() {
    const T *a = args.a.as<T>(), *b = args.b.as<T>();
    T* y = args.y.as<T>();
    workers.parallel_for(ceil_div(n, kChunk), [=](int64_t chunk, int) {
      const int64_t begin = chunk * kChunk;
      for_each_vector(min(kChunk, n - begin), [=](int64_t i, int64_t lanes) {
        store(y + begin + i, load(a + begin + i, lanes) + load(b + begin + i, lanes), lanes);
      });
    });
  });
}

}  // namespace ww::cpu::WW_ISA
