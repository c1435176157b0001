#include "native/kernels/segment_sum.h"

#include "native/cpu/kernel.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kChunk = 1 << 14;

}  // namespace

// On one thread: a batch has some thousand values, which cost less than waking another.
void compute(const SegmentSumForward& a, Workers& workers) {
  const int64_t N = a.values.size(), S = a.sums.size();
  check_indices("segments", a.segments, S);
  const float* values = a.values.as<float>();
  const int32_t* segments = a.segments.as<int32_t>();
  double* sums = static_cast<double*>(workers.shared_scratch(S * sizeof(double)));
  for (int64_t s = 0; s < S; ++s) sums[s] = 0;
  for (int64_t n = 0; n < N; ++n) sums[segments[n]] += static_cast<double>(values[n]);
  for (int64_t s = 0; s < S; ++s) a.sums.as<float>()[s] = static_cast<float>(sums[s]);
}

void compute(const SegmentSumBackward& a, Workers& workers) {
  const int64_t N = a.dvalues.size();
  check_indices("segments", a.segments, a.dsums.size());
  const float* dsums = a.dsums.as<float>();
  const int32_t* segments = a.segments.as<int32_t>();
  float* dvalues = a.dvalues.as<float>();
  workers.parallel_for(ceil_div(N, kChunk), [=](int64_t chunk, int) {
    const int64_t end = min(N, (chunk + 1) * kChunk);
    for (int64_t n = chunk * kChunk; n < end; ++n) dvalues[n] = dsums[segments[n]];
  });
}

}  // namespace ww::cpu::WW_ISA
