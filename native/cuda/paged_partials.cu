#include "native/cuda/paged_partials.cuh"

namespace ww::cuda {

namespace {

constexpr int kThreads = 128;

// Blocks take the joins in turn, for each part of the call.
__global__ void __launch_bounds__(kThreads)
    join_partials_kernel(PagedPlan plan, PagedPartials partials, PagedShape shape, bf16* y) {
  const int chunks = static_cast<int>(ceil_div(shape.D, kChunk));
  const int64_t count = int64_t(plan.counts[1]) * shape.parts;
  for (int64_t i = blockIdx.x; i < count; i += gridDim.x) {
    const PagedJoin of = plan.joins[i / shape.parts];
    const int part = static_cast<int>(i % shape.parts);
    const Heads heads = shape.heads_of(part);
    for (int at = threadIdx.x; at < of.tile.count * heads.count * chunks; at += kThreads) {
      const int row = at / chunks, c = at % chunks;
      const Softmax all = join(
          of.count, [&](int n) { return partials.weight(of.partial + n, part, row); },
          [&](int n) { return partials.values(of.partial + n, part, row) + c * kChunk; });
      write_chunk(y, of.tile, heads, row, c, all, shape);
    }
  }
}

}  // namespace

void join_partials(const char* kernel, const PagedPlan& plan, const PagedPartials& partials, const PagedShape& shape,
                   bf16* y, int64_t blocks, CudaStream& stream) {
  launch_kernel(kernel, join_partials_kernel, {dim3(blocks), kThreads}, stream, plan, partials, shape, y);
}

}  // namespace ww::cuda
