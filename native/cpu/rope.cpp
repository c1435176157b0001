#include "native/kernels/rope.h"

#include "native/cpu/attention_tiles.h"

namespace ww::cpu::WW_ISA {

namespace {

constexpr int64_t kTokensPerTask = 32;

typedef double WideVec __attribute__((vector_size(2 * kVectorBytes)));

// Within 2e-7 for |angle| < 2^31: the multiple of pi / 2 is taken off in f64, the rest is Cephes' sinf and cosf.
WW_INLINE void sine_cosine(Vec angle, Vec& sine, Vec& cosine) {
  const WideVec x = __builtin_convertvector(angle, WideVec);
  const WideVec magic = WideVec{} + 6755399441055744.0;  // 1.5 * 2^52: adding and subtracting it rounds to an integer
  const WideVec n = (x * 0.63661977236758134 + magic) - magic;
  const Vec r = __builtin_convertvector(x - n * 1.5707963267948966, Vec);
  const IntVec quarter =
      __builtin_convertvector(n - 4.0 * ((n * 0.25 + magic) - magic), IntVec);  // n mod 4, in -2 .. 2

  const Vec square = r * r;
  Vec s = splat(-1.9515295891e-4f);
  s = s * square + 8.3321608736e-3f;
  s = s * square - 1.6666654611e-1f;
  s = s * square * r + r;
  Vec c = splat(2.443315711809948e-5f);
  c = c * square - 1.388731625493765e-3f;
  c = c * square + 4.166664568298827e-2f;
  c = c * square * square - 0.5f * square + 1.0f;

  const IntVec swapped = (quarter & 1) != 0;
  const Vec first = swapped ? c : s, second = swapped ? s : c;
  sine = (quarter & 2) != 0 ? -first : first;
  cosine = ((quarter + 1) & 2) != 0 ? -second : second;
}

// One token: the pairs (x[d], x[d + E]) of the first `rotated` of its M heads are turned by the angle of (a[d], b[d]).
template <class T>
WW_INLINE void rotate_heads(T* x, const float* a, const float* b, int64_t rotated, int64_t E) {
  for (int64_t head = 0; head < rotated; ++head, x += 2 * E) {
    for_each_vector(E, [=](int64_t d, int64_t n) {
      const Vec low = load_channels(x + d, n), high = load_channels(x + E + d, n), cosine = load(a + d),
                sine = load(b + d);
      store_channels(x + d, low * cosine - high * sine, n);
      store_channels(x + E + d, high * cosine + low * sine, n);
    });
  }
}

// Heads no wider than a vector lie side by side in it, and a lane's partner is E lanes up or down. b is negative in the
// lower half of a head. `count` is a multiple of D.
template <class T>
WW_INLINE void rotate_lanes(T* x, const float* a, const float* b, int64_t count, int64_t E) {
  IntVec partner;
  for (int i = 0; i < kLanes; ++i) partner[i] = i ^ static_cast<int>(E);
  const Vec cosine = load(a), sine = load(b);
  for_each_vector(count, [=](int64_t i, int64_t n) {
    const Vec v = load(x + i, n);
#if defined(__AVX512F__)
    const Vec other = (Vec)_mm512_maskz_permutexvar_ps(0xffff, (__m512i)partner, (__m512)v);
#elif defined(__AVX2__)
    const Vec other = (Vec)_mm256_permutevar8x32_ps((__m256)v, (__m256i)partner);
#else
    Vec other;
    for (int lane = 0; lane < kLanes; ++lane) other[lane] = v[partner[lane]];
#endif
    store(x + i, v * cosine + other * sine, n);
  });
}

// direction is 1 to rotate forward, -1 to rotate back.
template <class T>
void rotate(T* x, const int32_t* positions, const Tensor& inverse_frequencies, int64_t tokens, int64_t M,
            int64_t rotated, float scaling, float direction, Workers& workers) {
  const int64_t E = inverse_frequencies.dims[0], D = 2 * E, row = M * D;
  const float* frequencies = inverse_frequencies.as<float>();
  const bool in_lanes = D <= kLanes && kLanes % D == 0;
  const int64_t table = round_up(in_lanes ? kLanes : E, kLanes), bytes = 2 * table * sizeof(float);
  for (int thread = 0; thread < workers.threads(); ++thread) workers.scratch(thread, bytes);
  for_each_row(workers, tokens, kTokensPerTask, [&](int64_t t, int thread) {
    float *a = static_cast<float*>(workers.scratch(thread, bytes)), *b = a + table;
    const float position = static_cast<float>(positions[t]);
    for_each_vector(E, [=](int64_t e, int64_t n) {
      Vec sine, cosine;
      sine_cosine(load(frequencies + e, n) * position, sine, cosine);
      store(a + e, cosine * scaling);
      store(b + e, sine * (scaling * direction));
    });
    if (in_lanes) {
      for (int64_t i = kLanes; i-- > 0;) {  // E is a power of 2
        a[i] = a[i & (E - 1)];
        b[i] = i & E ? b[i & (E - 1)] : -b[i & (E - 1)];
      }
      rotate_lanes(x + t * row, a, b, rotated * D, E);
    } else {
      rotate_heads(x + t * row, a, b, rotated, E);
    }
  });
}

}  // namespace

void compute(const RopeForward& a, Workers& workers) {
  dispatch_float(a.x.dtype, [&]<class T>() {
    rotate(a.x.as<T>(), a.positions.as<int32_t>(), a.inverse_frequencies, a.x.dims[0], a.x.dims[1], a.rotated,
           a.scaling, 1.0f, workers);
  });
}

void compute(const RopeBackward& a, Workers& workers) {
  dispatch_float(a.dx.dtype, [&]<class T>() {
    rotate(a.dx.as<T>(), a.positions.as<int32_t>(), a.inverse_frequencies, a.dx.dims[0], a.dx.dims[1], a.rotated,
           a.scaling, -1.0f, workers);
  });
}

}  // namespace ww::cpu::WW_ISA
