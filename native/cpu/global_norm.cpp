#include "native/kernels/global_norm.h"

#include "native/cpu/simd.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kChunk = 1 << 16;
constexpr int kDoubles = kVectorBytes / 8;

typedef double DoubleVec __attribute__((vector_size(kVectorBytes)));
typedef float HalfFloats __attribute__((vector_size(kVectorBytes / 2)));
struct Halves {
  HalfFloats low, high;
};

WW_INLINE void add_squares(Vec v, DoubleVec& low, DoubleVec& high) {
#if defined(__AVX512F__)  // GCC 12 splits the generic conversion in two
  const auto all = static_cast<__mmask8>(-1);
  const DoubleVec a = (DoubleVec)_mm512_maskz_cvtps_pd(all, _mm512_maskz_extractf32x8_ps(all, (__m512)v, 0));
  const DoubleVec b = (DoubleVec)_mm512_maskz_cvtps_pd(all, _mm512_maskz_extractf32x8_ps(all, (__m512)v, 1));
#else
  const Halves halves = __builtin_bit_cast(Halves, v);
  const DoubleVec a = __builtin_convertvector(halves.low, DoubleVec);
  const DoubleVec b = __builtin_convertvector(halves.high, DoubleVec);
#endif
  low += a * a;
  high += b * b;
}

// In f64: neither 10^20 nor 10^-20 leaves its range when squared.
template <class T>
double sum_of_squares(const T* x, int64_t n) {
  DoubleVec totals[4] = {};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    add_squares(load(x + i), totals[0], totals[1]);
    add_squares(load(x + i + kLanes), totals[2], totals[3]);
  }
  for_each_vector(n - i, [&](int64_t j, int64_t lanes) { add_squares(load(x + i + j, lanes), totals[0], totals[1]); });
  const DoubleVec total = (totals[0] + totals[2]) + (totals[1] + totals[3]);
  double sum = 0;
  for (int lane = 0; lane < kDoubles; ++lane) sum += total[lane];
  return sum;
}

}  // namespace

void compute(const GlobalNorm& a, Workers& workers) {
  const int64_t N = a.x.size(), chunks = ceil_div(N, kChunk);
  double* partial = static_cast<double*>(workers.shared_scratch(chunks * sizeof(double)));
  dispatch_float(a.x.dtype, [&]<class T>() {
    const T* x = a.x.as<T>();
    workers.parallel_for(chunks, [=](int64_t chunk, int) {
      partial[chunk] = sum_of_squares(x + chunk * kChunk, min(kChunk, N - chunk * kChunk));
    });
  });
  double sum = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk];
  *a.norm.as<float>() = static_cast<float>(__builtin_sqrt(sum));
}

}  // namespace ww::cpu::WW_ISA
