// Matrix products on a GPU by cuBLASLt. Shapes and meaning: matmul.h.
//
//   layout     the library thinks in columns: what is row-major here is its transpose there, so C = A B is asked for as C^T = B^T A^T
//   float32    multiplied as float32, not as TF32
//   bfloat16   sums in float32. Operands that are float32 are rounded into scratch memory first; so is the bias where C is bfloat16, as the library
//              wants one type for both
//   order      the library's first choice of algorithm for a form is kept, and no form is split over blocks that add to the same number in the order of
//              their arrival: the same bits on every run of one device
//   cost       2 M N K flop

#include "kernels/matmul.h"

#include <vector>

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
    bool transpose_a, transpose_b, bias, bfloat16, c_is_bfloat16;

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
    plan.c = layout(form.c_is_bfloat16 ? CUDA_R_16BF : CUDA_R_32F, form.m, form.n, form.c_stride);

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

// Where the product's numbers are read.
struct Sources {
    const void *a, *b, *bias;
};

void multiply(const Matmul& args, Form form, const Sources& from) {
    form.a_alignment = alignment_of(from.a);
    form.b_alignment = alignment_of(from.b);
    form.c_alignment = alignment_of(args.c.data);
    form.bias_alignment = alignment_of(from.bias);
    const Plan& plan = plan_for(form);
    if (form.bias) set(plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, from.bias);
    const float one = 1.0F, kept = args.accumulate ? 1.0F : 0.0F;
    check(cublasLtMatmul(library(), plan.product, &one, from.b, plan.b, from.a, plan.a, &kept, args.c.data, plan.c,
                         args.c.data, plan.c, &plan.algorithm, workspace(), workspace_bytes,
                         static_cast<cudaStream_t>(stream())),
          "the product was refused");
    check_launch({"matmul", {0, 0, 0}, {0, 0, 0}});
}

// Elements of scratch memory that rounding takes, a multiple of 16 bytes: none for what is bfloat16 already.
std::int64_t room_for(const Tensor& x) { return x && x.dtype == DType::float32 ? (x.count() + 7) / 8 * 8 : 0; }

// The numbers of a matrix as bfloat16: where they are, or rounded into `room`, rows without gaps.
const void* as_bfloat16(const Tensor& x, bfloat16_t* room, std::int64_t& stride) {
    if (x.dtype == DType::bfloat16) return x.data;
    launch(one_thread_each("matmul", x.count()), round_kernel, x.as<float>(), stride, x.shape[0], x.shape[1], room);
    stride = x.shape[1];
    return room;
}

void multiply_bfloat16(const Matmul& args, Form form) {
    const std::int64_t of_a = room_for(args.a), of_b = room_for(args.b), of_bias = room_for(args.bias);
    auto* const room =
        static_cast<bfloat16_t*>(scratch(static_cast<std::size_t>(of_a + of_b + of_bias) * sizeof(bfloat16_t)));
    Sources from = {as_bfloat16(args.a, room, form.a_stride), as_bfloat16(args.b, room + of_a, form.b_stride),
                    args.bias.data};
    if (form.bias && form.c_is_bfloat16) {
        std::int64_t stride = args.bias.count();
        from.bias = as_bfloat16(args.bias.reshape({1, stride}), room + of_a + of_b, stride);
    }
    multiply(args, form, from);
}

}  // namespace

void matmul(const Matmul& args) {
    const Form form = {.m = args.c.shape[0],
                       .n = args.c.shape[1],
                       .k = args.a.shape[args.transpose_a ? 0 : 1],
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
                       .bfloat16 = args.bfloat16,
                       .c_is_bfloat16 = args.c.dtype == DType::bfloat16};
    if (args.bfloat16) return multiply_bfloat16(args, form);
    multiply(args, form, {args.a.data, args.b.data, args.bias.data});
}

#else

// The library stands in for the library: products themselves can be checked on a GPU only.

namespace {

// A matrix for the processor, which stores no bfloat16: where it is, or a float32 copy.
struct OnProcessor {
    explicit OnProcessor(const Tensor& x) : tensor(x) {
        tensor.device = Device::cpu;
        if (x.dtype != DType::bfloat16) return;
        copied.resize(static_cast<std::size_t>(x.count()));
        tensor = Tensor(copied.data(), x.shape, DType::float32);
        for (std::int64_t i = 0; i < x.count(); ++i) tensor.as<float>()[i] = load(element(x, i));
    }
    void round_into(const Tensor& x) const {
        for (std::int64_t i = 0; i < x.count(); ++i) store(element(x, i), tensor.as<float>()[i]);
    }
    static bfloat16_t* element(const Tensor& x, std::int64_t i) {
        return x.as<bfloat16_t>() + i / x.shape[1] * x.strides[0] + i % x.shape[1];
    }

    std::vector<float> copied;
    Tensor tensor;
};

}  // namespace

void matmul(const Matmul& args) {
    with_device_memory([args] {
        const OnProcessor a(args.a), b(args.b), c(args.c), bias(args.bias);
        Matmul here = args;
        here.a = a.tensor;
        here.b = b.tensor;
        here.c = c.tensor;
        here.bias = bias.tensor;
        locus::matmul(here);
        if (args.c.dtype == DType::bfloat16) c.round_into(args.c);
    });
}

#endif

}  // namespace locus::LOCUS_TARGET
