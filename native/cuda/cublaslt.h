#pragma once

// What westwind uses of cuBLASLt, declared by hand: the library is found at run time, so that the addon builds without
// its headers and loads without its file. Names are NVIDIA's without the prefix; test/cuda/check_cublaslt.mjs holds the
// declarations against a library and its header.

#include <cstddef>
#include <cstdint>
#include <string>

struct CUstream_st;

namespace ww::cuda::cublaslt {

enum Status : int { kSuccess = 0, kNotSupported = 15 };

enum DataType : int { kR32F = 0, kR16BF = 14 };

enum ComputeType : int { kCompute32F = 68 };  // f32 sums; f32 factors are not rounded to TF32

enum Operation : int32_t { kOperationN = 0, kOperationT = 1 };

enum MatmulDescAttribute : int { kTransA = 3, kTransB = 4 };

enum PreferenceAttribute : int {
  kMaxWorkspaceBytes = 1,    // uint64_t
  kReductionSchemeMask = 3,  // uint32_t; this and the following
  kMinAlignmentABytes = 5,
  kMinAlignmentBBytes = 6,
  kMinAlignmentCBytes = 7,
  kMinAlignmentDBytes = 8,
};

// How the parts of a sum that is split between blocks come together. Without a bit set sums are not split.
enum ReductionScheme : uint32_t { kReductionComputeType = 2 };  // as f32 in the workspace, by a kernel of their own

// Opaque: the library makes and destroys them.
struct Context;
struct MatmulDesc;
struct MatrixLayout;
struct Preference;

// May be stored, and used with the same version of the library.
struct Algo {
  uint64_t data[8];
};

struct HeuristicResult {
  Algo algo;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(HeuristicResult) == 96);

// FUNCTION(member, name behind "cublasLt", parameters): those that return a Status. Matrices lie by columns.
#define WW_CUBLASLT_FUNCTIONS(FUNCTION)                                                                            \
  FUNCTION(create, Create, (Context**))                                                                            \
  FUNCTION(destroy, Destroy, (Context*))                                                                           \
  FUNCTION(create_desc, MatmulDescCreate, (MatmulDesc**, ComputeType, DataType scale))                             \
  FUNCTION(destroy_desc, MatmulDescDestroy, (MatmulDesc*))                                                         \
  FUNCTION(set_desc, MatmulDescSetAttribute, (MatmulDesc*, MatmulDescAttribute, const void* value, size_t bytes))  \
  FUNCTION(create_layout, MatrixLayoutCreate,                                                                      \
           (MatrixLayout**, DataType, uint64_t rows, uint64_t columns, int64_t leading))                           \
  FUNCTION(destroy_layout, MatrixLayoutDestroy, (MatrixLayout*))                                                   \
  FUNCTION(create_preference, MatmulPreferenceCreate, (Preference**))                                              \
  FUNCTION(destroy_preference, MatmulPreferenceDestroy, (Preference*))                                             \
  FUNCTION(set_preference, MatmulPreferenceSetAttribute,                                                           \
           (Preference*, PreferenceAttribute, const void* value, size_t bytes))                                    \
  FUNCTION(get_heuristic, MatmulAlgoGetHeuristic,                                                                  \
           (Context*, MatmulDesc*, MatrixLayout * a, MatrixLayout * b, MatrixLayout * c, MatrixLayout * d,         \
            Preference*, int wanted, HeuristicResult*, int* found))                                                \
  FUNCTION(check_algo, MatmulAlgoCheck,                                                                            \
           (Context*, MatmulDesc*, MatrixLayout * a, MatrixLayout * b, MatrixLayout * c, MatrixLayout * d,         \
            const Algo*, HeuristicResult*))                                                                        \
  FUNCTION(matmul, Matmul,                                                                                         \
           (Context*, MatmulDesc*, const float* alpha, const void* a, MatrixLayout*, const void* b, MatrixLayout*, \
            const float* beta, const void* c, MatrixLayout*, void* d, MatrixLayout*, const Algo*, void* workspace, \
            size_t workspace_bytes, CUstream_st*))

struct Library {
  std::string path;
  size_t version = 0;  // 130101 for 13.1.1

#define FUNCTION(member, name, parameters) Status(*member) parameters = nullptr;
  WW_CUBLASLT_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

// Looks once for each process. Throws ww::Error (device) that says where it looked and what to install.
const Library& library();

}  // namespace ww::cuda::cublaslt
