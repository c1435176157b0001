#include "native/cuda/attention_layout.cuh"

#include "native/cuda/attention_tiles.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void repack_kernel(const bf16* from, int from_channels, bf16* to, int to_channels, int64_t rows) {
  const int64_t i = blockIdx.x * int64_t(kThreads) + threadIdx.x, row = i / to_channels;
  const int c = static_cast<int>(i % to_channels);
  if (row < rows) to[i] = c < from_channels ? from[row * from_channels + c] : bf16(0.0f);
}

void repack(const char* kernel, const bf16* from, int64_t from_channels, bf16* to, int64_t to_channels, int64_t rows,
            CudaStream& stream) {
  launch_kernel(kernel, repack_kernel, {dim3(ceil_div(rows * to_channels, kThreads)), kThreads}, stream, from,
                from_channels, to, to_channels, rows);
}

// One warp a tile.
__global__ void summarise_tiles_kernel(MaskArrays mask, TileSummary* tiles) {
  const auto reduce = [](int value, bool largest) {
    for (int offset = kWarp / 2; offset > 0; offset /= 2) {
      const int other = __shfl_xor_sync(kAllLanes, value, offset);
      value = largest ? max(value, other) : min(value, other);
    }
    return value;
  };
  const int first = blockIdx.x * kTile, last = mask.T - 1;  // tokens beyond the last count as it does
  const int a = min(first + int(threadIdx.x), last), b = min(first + int(threadIdx.x) + kWarp, last);
  const auto least = [&](const int32_t* values) { return reduce(min(values[a], values[b]), false); };
  const auto most = [&](const int32_t* values) { return reduce(max(values[a], values[b]), true); };
  const TileSummary summary{least(mask.visible_until), most(mask.visible_until),   least(mask.positions),
                            most(mask.positions),      least(mask.sequence_start), most(mask.sequence_start)};
  if (threadIdx.x == 0) tiles[blockIdx.x] = summary;
}

}  // namespace

bf16* padded_input(const char* kernel, const Tensor& heads, char*& scratch, CudaStream& stream) {
  if (!needs_copy(heads)) return heads.as<bf16>();
  bf16* const copy = reinterpret_cast<bf16*>(scratch);
  scratch += copy_bytes(heads);
  const int64_t rows = heads.dims[0] * heads.dims[1], D = heads.dims[2];
  repack(kernel, heads.as<bf16>(), D, copy, padded_channels(D), rows, stream);
  return copy;
}

bf16* padded_output(const Tensor& heads, char*& scratch) {
  if (!needs_copy(heads)) return heads.as<bf16>();
  bf16* const copy = reinterpret_cast<bf16*>(scratch);
  scratch += copy_bytes(heads);
  return copy;
}

void finish_output(const char* kernel, const Tensor& heads, const bf16* written, CudaStream& stream) {
  if (written == heads.data) return;
  const int64_t rows = heads.dims[0] * heads.dims[1], D = heads.dims[2];
  repack(kernel, written, padded_channels(D), heads.as<bf16>(), D, rows, stream);
}

void summarise_tiles(const char* kernel, const MaskArrays& mask, TileSummary* tiles, CudaStream& stream) {
  launch_kernel(kernel, summarise_tiles_kernel, {dim3(ceil_div(mask.T, kTile)), kWarp}, stream, mask, tiles);
}

}  // namespace ww::cuda
