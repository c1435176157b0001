#include "native/cuda/kernel.cuh"
#include "native/kernels/launch.h"

namespace ww::cuda {

namespace {

constexpr int kThreads = 512, kWarps = kThreads / kWarp, kFewThreads = 256;
constexpr float kStep = 1.0f / 512;  // adding it rounds what is less to multiples of 2^-32; what is more is one already
constexpr double kUnits = 4294967296.0;

// Unsigned numbers in the order of the logits: NaN is the least.
__device__ __forceinline__ uint32_t order_of(float logit) {
  if (logit != logit) return 0;
  const uint32_t bits = logit == 0.0f ? 0u : __float_as_uint(logit);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float logit_of(uint32_t order) {
  return __uint_as_float(order >> 31 ? order & 0x7fffffffu : ~order);
}

struct Sum {
  __device__ __forceinline__ uint64_t operator()(uint64_t a, uint64_t b) const { return a + b; }
};
struct Most {
  __device__ __forceinline__ uint64_t operator()(uint64_t a, uint64_t b) const { return a > b ? a : b; }
};

// Over a block, for every thread. Whole numbers: their order does not matter.
template <class Join>
static __device__ __forceinline__ uint64_t over_block(uint64_t value, const Join& join) {
  __shared__ uint64_t of_warps[kWarps];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    value = join(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  if (lane == 0) of_warps[warp] = value;
  __syncthreads();
  value = lane < kWarps ? of_warps[lane] : 0;
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    value = join(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  __syncthreads();
  return value;
}

// A row of logits, of which a block draws a token.
struct Row {
  const float* logits;
  int V;
  float highest, per_temperature;
  uint32_t threshold;  // tokens that are kept: above it, and of those equal to it the ids up to `last`
  int last;

  // In units of 2^-32.
  __device__ __forceinline__ uint64_t weight(float logit) const {
    if (logit == highest) return uint64_t(1) << 32;
    float w = expf((logit - highest) * per_temperature);
    if (w < kStep) w = (w + kStep) - kStep;
    return w > 0.0f ? static_cast<uint64_t>(w * 4294967296.0f) : 0;
  }
  __device__ __forceinline__ bool is_kept(int id) const {
    const uint32_t order = order_of(logits[id]);
    return order > threshold || (order == threshold && id <= last);
  }
  __device__ __forceinline__ uint64_t kept_weight(int id) const { return is_kept(id) ? weight(logits[id]) : 0; }

  template <class Value>
  __device__ __forceinline__ uint64_t sum(const Value& value) const {
    uint64_t sum = 0;
    for (int id = threadIdx.x; id < V; id += kThreads) sum += value(id);
    return over_block(sum, Sum());
  }

  // The first id, for every thread, at which the values up to it sum to more than `bound`, which is less than all. Each
  // warp sums a part of the ids, and the one whose part it is looks on.
  template <class Value>
  __device__ __forceinline__ int first_above(double bound, const Value& value) const {
    __shared__ uint64_t of_warps[kWarps];
    __shared__ int found;
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int part = static_cast<int>(round_up(ceil_div(V, kWarps), kWarp));
    const int begin = min(V, warp * part), end = min(V, begin + part);
    uint64_t own = 0;
    for (int id = begin + lane; id < end; id += kWarp) own += value(id);
    for (int offset = kWarp / 2; offset > 0; offset /= 2) own += __shfl_xor_sync(kAllLanes, own, offset);
    if (lane == 0) of_warps[warp] = own;
    __syncthreads();
    uint64_t before = 0;
    for (int w = 0; w < warp; ++w) before += of_warps[w];
    if (double(before) <= bound && double(before + own) > bound) {
      for (int from = begin; from < end; from += kWarp) {
        uint64_t up_to = from + lane < end ? value(from + lane) : 0;
        for (int offset = 1; offset < kWarp; offset *= 2) {
          const uint64_t other = __shfl_up_sync(kAllLanes, up_to, offset);
          if (lane >= offset) up_to += other;
        }
        const unsigned above = __ballot_sync(kAllLanes, double(before + up_to) > bound);
        if (above != 0) {
          if (lane == 0) found = from + __popc((above & (0u - above)) - 1);
          break;
        }
        before += __shfl_sync(kAllLanes, up_to, kWarp - 1);
      }
    }
    __syncthreads();
    const int id = found;
    __syncthreads();
    return id;
  }

  // Keeps the first, in the order of the logits, whose values sum to `target`: the threshold is found bit by bit.
  template <class Value>
  __device__ __forceinline__ void limit(double target, const Value& value) {
    uint32_t cut = 0;
    uint64_t above = 0;  // of what turned out to lie above all thresholds that are left
    for (uint32_t bit = 0x80000000u; bit != 0; bit /= 2) {
      const uint32_t higher = cut | bit;
      const uint64_t between = sum([&](int id) { return order_of(logits[id]) - higher < bit ? value(id) : 0; });
      if (double(above + between) >= target) {
        cut = higher;
      } else {
        above += between;
      }
    }
    const uint64_t equal = sum([&](int id) { return order_of(logits[id]) == cut ? value(id) : 0; });
    const uint64_t all = sum([&](int id) { return uint64_t(order_of(logits[id]) == cut && value(id) > 0); });
    threshold = cut;
    last = INT32_MAX;
    if (all < 2) return;
    const double each = double(equal / all);
    uint64_t ties = max(1.0, (target - double(above)) / each);
    while (ties > 1 && double(above) + double(ties - 1) * each >= target) --ties;
    while (ties < all && double(above) + double(ties) * each < target) ++ties;
    if (ties == all) return;
    last =
        first_above(double(ties) - 0.5, [&](int id) { return uint64_t(order_of(logits[id]) == cut && value(id) > 0); });
  }
};

// One block a row.
__global__ void __launch_bounds__(kThreads)
    sample_tokens_kernel(const float* logits, const float* settings, const int32_t* draws, int32_t* tokens, int V) {
  logits += blockIdx.x * int64_t(V);
  settings += blockIdx.x * int64_t(3);
  draws += blockIdx.x * int64_t(2);
  uint64_t best = 0;  // the logit's order, and the id from the last: of equal logits the first id is the most
  for (int id = threadIdx.x; id < V; id += kThreads) {
    best = Most()(best, uint64_t(order_of(logits[id])) << 32 | uint32_t(INT32_MAX - id));
  }
  best = over_block(best, Most());
  const float highest = logit_of(static_cast<uint32_t>(best >> 32));
  const float temperature = settings[0], top_p = settings[1], min_p = settings[2];
  int token = INT32_MAX - static_cast<int>(static_cast<uint32_t>(best));
  if (!(highest > -INFINITY)) {
    token = 0;
  } else if (temperature > 0.0f) {
    Row row{logits, V, highest, 1.0f / temperature, 0, INT32_MAX};
    if (draws[0] > 0 && draws[0] < V) row.limit(double(draws[0]), [&](int) { return uint64_t(1); });
    if (top_p < 1.0f) {
      const double total = double(row.sum([&](int id) { return row.kept_weight(id); }));
      const Row kept = row;
      row.limit(double(top_p) * total, [&](int id) { return kept.kept_weight(id); });
      if (row.threshold == kept.threshold) row.last = min(row.last, kept.last);
    }
    if (min_p > 0.0f) {
      const float reached = static_cast<float>(double(highest) + double(temperature) * log(double(min_p)));
      const uint32_t least = order_of(reached < highest ? reached : highest);
      if (least > row.threshold) row.threshold = least, row.last = INT32_MAX;
    }
    const uint64_t total = row.sum([&](int id) { return row.kept_weight(id); });
    const double random = double(static_cast<uint32_t>(draws[1])) / kUnits;
    token = row.first_above(random * double(total), [&](int id) { return row.kept_weight(id); });
  }
  if (threadIdx.x == 0) tokens[blockIdx.x] = token;
}

__global__ void adjust_logits_kernel(const int32_t* rows, const int32_t* ids, const float* change, float* logits,
                                     int64_t E, int64_t R, int64_t V) {
  const int64_t e = blockIdx.x * int64_t(kFewThreads) + threadIdx.x;
  if (e >= E || rows[e] < 0 || rows[e] >= R || ids[e] < 0 || ids[e] >= V) return;
  float& l = logits[rows[e] * V + ids[e]];
  l = (l > 0.0f ? l / change[2 * e] : l * change[2 * e]) + change[2 * e + 1];
}

__global__ void move_tokens_kernel(const int32_t* sampled, const int32_t* from, const int32_t* to, int32_t* tokens,
                                   int64_t N, int64_t S, int64_t T) {
  const int64_t n = blockIdx.x * int64_t(kFewThreads) + threadIdx.x;
  if (n >= N || from[n] < 0 || from[n] >= S || to[n] < 0 || to[n] >= T) return;
  tokens[to[n]] = sampled[from[n]];
}

}  // namespace

void run(const SampleTokens& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  launch_kernel(a.kName, sample_tokens_kernel, {dim3(a.logits.dims[0]), kThreads}, cuda, a.logits.as<float>(),
                a.settings.as<float>(), a.draws.as<int32_t>(), a.tokens.as<int32_t>(),
                static_cast<int>(a.logits.dims[1]));
}

void run(const AdjustLogits& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t E = a.rows.size(), R = a.logits.dims[0], V = a.logits.dims[1];
  check_indices(cuda, a.kName, "rows", a.rows, R);
  check_indices(cuda, a.kName, "ids", a.ids, V);
  launch_kernel(a.kName, adjust_logits_kernel, {dim3(ceil_div(E, kFewThreads)), kFewThreads}, cuda,
                a.rows.as<int32_t>(), a.ids.as<int32_t>(), a.change.as<float>(), a.logits.as<float>(), E, R, V);
}

void run(const MoveTokens& a, Stream& stream) {
  CudaStream& cuda = static_cast<CudaStream&>(stream);
  const int64_t N = a.from.size(), S = a.sampled.size(), T = a.tokens.size();
  check_indices(cuda, a.kName, "from", a.from, S);
  check_indices(cuda, a.kName, "to", a.to, T);
  launch_kernel(a.kName, move_tokens_kernel, {dim3(ceil_div(N, kFewThreads)), kFewThreads}, cuda,
                a.sampled.as<int32_t>(), a.from.as<int32_t>(), a.to.as<int32_t>(), a.tokens.as<int32_t>(), N, S, T);
}

}  // namespace ww::cuda
