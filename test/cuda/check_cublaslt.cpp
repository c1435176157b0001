// Holds native/cuda/cublaslt.h against a library and, where WW_HEADER is defined, against NVIDIA's header: see
// check_cublaslt.mjs. Needs no GPU; with one it also asks for algorithms.
#ifdef WW_HEADER
#include <cublasLt.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <type_traits>

#include "native/core/error.h"
#include "native/cuda/cublaslt.h"

using namespace ww::cuda::cublaslt;

#ifdef WW_HEADER

#define SAME(ours, theirs) static_assert(static_cast<long>(ours) == static_cast<long>(theirs))
SAME(kSuccess, CUBLAS_STATUS_SUCCESS);
SAME(kNotSupported, CUBLAS_STATUS_NOT_SUPPORTED);
SAME(kR32F, CUDA_R_32F);
SAME(kR16BF, CUDA_R_16BF);
SAME(kCompute32F, CUBLAS_COMPUTE_32F);
SAME(kOperationN, CUBLAS_OP_N);
SAME(kOperationT, CUBLAS_OP_T);
SAME(kTransA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(kTransB, CUBLASLT_MATMUL_DESC_TRANSB);
SAME(kMaxWorkspaceBytes, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(kReductionSchemeMask, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(kMinAlignmentABytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(kMinAlignmentBBytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME(kMinAlignmentCBytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME(kMinAlignmentDBytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME(kReductionComputeType, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
SAME(sizeof(Algo), sizeof(cublasLtMatmulAlgo_t));
SAME(sizeof(HeuristicResult), sizeof(cublasLtMatmulHeuristicResult_t));
SAME(offsetof(HeuristicResult, workspace_bytes), offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
SAME(offsetof(HeuristicResult, state), offsetof(cublasLtMatmulHeuristicResult_t, state));
SAME(offsetof(HeuristicResult, waves), offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));

template <class Ours, class Theirs>
constexpr bool kSameCall = false;
template <class... Ours, class... Theirs>
constexpr bool kSameCall<Status (*)(Ours...), cublasStatus_t (*)(Theirs...)> = [] {
  if constexpr (sizeof...(Ours) == sizeof...(Theirs)) {
    return ((sizeof(Ours) == sizeof(Theirs) && std::is_pointer_v<Ours> == std::is_pointer_v<Theirs>) && ...);
  } else {
    return false;
  }
}();
#define FUNCTION(member, name, parameters) static_assert(kSameCall<decltype(Library::member), decltype(&cublasLt##name)>);
WW_CUBLASLT_FUNCTIONS(FUNCTION)
#undef FUNCTION

#endif

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
  if (!holds) ++failures;
  std::printf("%s %s\n", holds ? "ok    " : "FAILED", what);
}

}  // namespace

int main() {
  try {
    const Library& lt = library();
    std::printf("       %s, version %zu, every function is there\n", lt.path.c_str(), lt.version);

    MatmulDesc* desc = nullptr;
    expect(lt.create_desc(&desc, kCompute32F, kR32F) == kSuccess, "a product's descriptor");
    const Operation transposed = kOperationT;
    expect(lt.set_desc(desc, kTransA, &transposed, sizeof(transposed)) == kSuccess, "the first factor transposed");
    expect(lt.set_desc(desc, kTransB, &transposed, sizeof(transposed)) == kSuccess, "the second factor transposed");
    expect(lt.set_desc(desc, kTransA, &transposed, 8) != kSuccess, "an attribute of another size is refused");

    MatrixLayout *bf16 = nullptr, *f32 = nullptr;
    expect(lt.create_layout(&bf16, kR16BF, 512, 512, 512) == kSuccess, "a bf16 matrix");
    expect(lt.create_layout(&f32, kR32F, 512, 512, 512) == kSuccess, "an f32 matrix");

    Preference* preference = nullptr;
    expect(lt.create_preference(&preference) == kSuccess, "a preference");
    const uint64_t workspace = 64 << 20;
    expect(lt.set_preference(preference, kMaxWorkspaceBytes, &workspace, 8) == kSuccess, "its workspace");
    expect(lt.set_preference(preference, kMaxWorkspaceBytes, &workspace, 4) != kSuccess, "of another size is refused");
    const uint32_t scheme = kReductionComputeType, alignment = 2;
    expect(lt.set_preference(preference, kReductionSchemeMask, &scheme, 4) == kSuccess, "its reduction schemes");
    for (const auto which : {kMinAlignmentABytes, kMinAlignmentBBytes, kMinAlignmentCBytes, kMinAlignmentDBytes}) {
      expect(lt.set_preference(preference, which, &alignment, 4) == kSuccess, "an alignment");
      expect(lt.set_preference(preference, which, &workspace, 8) != kSuccess, "of another size is refused");
    }

    Context* context = nullptr;
    if (const Status status = lt.create(&context); status != kSuccess) {
      std::printf("       no GPU (status %d): algorithms were not asked for\n", static_cast<int>(status));
    } else {
      HeuristicResult results[8], checked;
      int found = 0;
      for (MatrixLayout* c : {bf16, f32}) {
        const Status status = lt.get_heuristic(context, desc, bf16, bf16, c, c, preference, 8, results, &found);
        expect(status == kSuccess && found > 0 && results[0].state == kSuccess, "algorithms for operands on 2 bytes");
        expect(lt.check_algo(context, desc, bf16, bf16, c, c, &results[0].algo, &checked) == kSuccess &&
                   checked.workspace_bytes <= workspace,
               "the first one passes the check");
      }
      expect(lt.destroy(context) == kSuccess, "the context goes");
    }
    expect(lt.destroy_preference(preference) == kSuccess, "the preference goes");
    expect(lt.destroy_layout(bf16) == kSuccess && lt.destroy_layout(f32) == kSuccess, "the matrices go");
    expect(lt.destroy_desc(desc) == kSuccess, "the descriptor goes");
  } catch (const ww::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return failures == 0 ? 0 : 1;
}
