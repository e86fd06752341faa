// Matrix products on a GPU by cuBLASLt. Shapes and meaning: matmul.h.
//
//   layout     the library thinks in columns: what is row-major here is its transpose there, so C = A B is asked for as C^T = B^T A^T
//   float32    multiplied as float32, not as TF32
//   bfloat16   operands rounded into scratch memory first, sums in float32
//   order      the library's first choice of algorithm for a form is kept, and no form is split over blocks that add to the same number in the order of
//              their arrival: the same bits on every run of one device
//   cost       2 M N K flop

#include "kernels/matmul.h"

#include "kernels/gpu.h"

#ifdef __CUDACC__
#include <cublasLt.h>

#include <map>
#include <tuple>
#endif

namespace locus::LOCUS_TARGET {

#ifdef __CUDACC__
namespace {

constexpr std::size_t workspace_bytes = std::size_t{32} << 20U;

void check(cublasStatus_t status, const char* what) {
    if (status != CUBLAS_STATUS_SUCCESS)
        throw GpuError(std::string("[matmul] ") + what + ": " + cublasLtGetStatusString(status));
}

// One product's form, and what the library needs to run it.
struct Form {
    std::int64_t m, n, k, a_stride, b_stride, c_stride;
    std::uint32_t a_alignment, b_alignment, c_alignment,
        bias_alignment;  // of the addresses, in bytes: some algorithms want more than others
    bool transpose_a, transpose_b, bias, bfloat16;

    auto operator<=>(const Form&) const = default;
};

struct Plan {
    cublasLtMatmulDesc_t product = nullptr;
    cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
    cublasLtMatmulAlgo_t algorithm{};
};

cublasLtHandle_t library() {
    static cublasLtHandle_t only = [] {
        cublasLtHandle_t made = nullptr;
        check(cublasLtCreate(&made), "cuBLASLt does not start");
        return made;
    }();
    return only;
}

void* workspace() {
    static void* const only = device_functions.allocate(workspace_bytes);
    return only;
}

template <class Value>
void set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulDescSetAttribute(product, attribute, &value, sizeof(value)), "an attribute of the product");
}

// A row-major [rows, columns] is column-major [columns, rows].
cublasLtMatrixLayout_t layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
    cublasLtMatrixLayout_t made = nullptr;
    check(cublasLtMatrixLayoutCreate(&made, type, static_cast<std::uint64_t>(columns), static_cast<std::uint64_t>(rows),
                                     stride),
          "a layout");
    return made;
}

// The largest power of two that divides the address, at most 256.
std::uint32_t alignment_of(const void* address) {
    const auto number = reinterpret_cast<std::uintptr_t>(address) | 256U;
    return static_cast<std::uint32_t>(number & (~number + 1));
}

template <class Value>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)), "a preference");
}

Plan make_plan(const Form& form) {
    Plan plan;
    const cudaDataType_t operand = form.bfloat16 ? CUDA_R_16BF : CUDA_R_32F;
    check(cublasLtMatmulDescCreate(&plan.product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "a product");
    set(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, form.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);  // B comes first
    set(plan.product, CUBLASLT_MATMUL_DESC_TRANSB, form.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (form.bias) set(plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    plan.a = form.transpose_a ? layout(operand, form.k, form.m, form.a_stride)
                              : layout(operand, form.m, form.k, form.a_stride);
    plan.b = form.transpose_b ? layout(operand, form.n, form.k, form.b_stride)
                              : layout(operand, form.k, form.n, form.b_stride);
    plan.c = layout(CUDA_R_32F, form.m, form.n, form.c_stride);

    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "a preference");
    set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
    const std::uint32_t ordered_sums = CUBLASLT_REDUCTION_SCHEME_MASK & ~CUBLASLT_REDUCTION_SCHEME_INPLACE;
    set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, ordered_sums);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, form.b_alignment);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, form.a_alignment);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, form.c_alignment);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, form.c_alignment);
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    check(cublasLtMatmulAlgoGetHeuristic(library(), plan.product, plan.b, plan.a, plan.c, plan.c, preference, 1, &found,
                                         &count),
          "no algorithm");
    check(cublasLtMatmulPreferenceDestroy(preference), "a preference");
    if (count == 0) throw GpuError("[matmul] cuBLASLt has no algorithm for this form");
    plan.algorithm = found.algo;
    return plan;
}

const Plan& plan_for(const Form& form) {
    static std::map<Form, Plan> plans;
    const auto found = plans.find(form);
    return found != plans.end() ? found->second : plans.emplace(form, make_plan(form)).first->second;
}

__global__ void round_kernel(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                             bfloat16_t* to) {
    const std::int64_t i = index_in_grid();
    if (i < rows * columns) store(to + i, from[i / columns * stride + i % columns]);
}

void multiply(const Matmul& args, Form form, const void* a, const void* b) {
    form.a_alignment = alignment_of(a);
    form.b_alignment = alignment_of(b);
    form.c_alignment = alignment_of(args.c.data);
    form.bias_alignment = alignment_of(args.bias.data);
    const Plan& plan = plan_for(form);
    if (form.bias) set(plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(args.bias.data));
    const float one = 1.0F, kept = args.accumulate ? 1.0F : 0.0F;
    check(cublasLtMatmul(library(), plan.product, &one, b, plan.b, a, plan.a, &kept, args.c.data, plan.c, args.c.data,
                         plan.c, &plan.algorithm, workspace(), workspace_bytes, static_cast<cudaStream_t>(stream())),
          "the product was refused");
    check_launch("matmul", 0, 0, 0, 0);
}

}  // namespace

void matmul(const Matmul& args) {
    const Shape a = args.a.shape, b = args.b.shape;
    Form form = {.m = args.c.shape[0],
                 .n = args.c.shape[1],
                 .k = a[args.transpose_a ? 0 : 1],
                 .a_stride = args.a.strides[0],
                 .b_stride = args.b.strides[0],
                 .c_stride = args.c.strides[0],
                 .a_alignment = 0,  // these four: multiply()
                 .b_alignment = 0,
                 .c_alignment = 0,
                 .bias_alignment = 0,
                 .transpose_a = args.transpose_a,
                 .transpose_b = args.transpose_b,
                 .bias = static_cast<bool>(args.bias),
                 .bfloat16 = args.bfloat16};
    if (!args.bfloat16) return multiply(args, form, args.a.data, args.b.data);
    auto* const rounded =
        static_cast<bfloat16_t*>(scratch(static_cast<std::size_t>(a.count() + b.count() + 8) * sizeof(bfloat16_t)));
    bfloat16_t* const second = rounded + (a.count() + 7) / 8 * 8;  // aligned to 16 bytes
    launch(one_thread_each("matmul", a.count()), round_kernel, args.a.as<float>(), form.a_stride, a[0], a[1], rounded);
    launch(one_thread_each("matmul", b.count()), round_kernel, args.b.as<float>(), form.b_stride, b[0], b[1], second);
    form.a_stride = a[1];
    form.b_stride = b[1];
    multiply(args, form, rounded, second);
}

#else

// The library stands in for the library: products themselves can be checked on a GPU only.
void matmul(const Matmul& args) {
    Matmul here = args;
    for (Tensor* tensor : {&here.a, &here.b, &here.c, &here.bias}) tensor->device = Device::cpu;
    with_device_memory([&] { locus::matmul(here); });
}

#endif

}  // namespace locus::LOCUS_TARGET
