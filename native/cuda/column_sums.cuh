#pragma once

#include "native/cuda/kernel.cuh"

namespace ww::cuda {

constexpr int kSumColumns = 32, kSumRows = 32;  // of a block: a warp reads 32 neighbouring columns of one row

// sums[c] += sum_g partial[g,c], in the order of g within each of kSumRows interleaved groups, then of the groups.
static __global__ void add_column_sums_kernel(const float* partial, float* sums, int64_t rows, int64_t columns) {
  __shared__ float group_sums[kSumRows][kSumColumns];
  const int column = threadIdx.x % kSumColumns, group = threadIdx.x / kSumColumns;
  const int64_t c = blockIdx.x * int64_t(kSumColumns) + column;
  float sum = 0.0f;
  if (c < columns) {
#pragma unroll 4
    for (int64_t g = group; g < rows; g += kSumRows) sum += partial[g * columns + c];
  }
  group_sums[group][column] = sum;
  __syncthreads();
  if (group != 0 || c >= columns) return;
  for (int other = 1; other < kSumRows; ++other) sum += group_sums[other][column];
  sums[c] += sum;
}

static void add_column_sums(const char* name, const float* partial, float* sums, int64_t rows, int64_t columns,
                            CudaStream& stream) {
  launch_kernel(name, add_column_sums_kernel, {dim3(ceil_div(columns, kSumColumns)), kSumColumns * kSumRows}, stream,
                partial, sums, rows, columns);
}

}  // namespace ww::cuda
