// Matrix products on a GPU by cuBLASLt. Shapes and meaning: matmul.h.
//
//   layout     the library thinks in columns: what is row-major here is its transpose there, so C = A B is asked for as C^T = B^T A^T
//   float32    multiplied as float32; as TF32 only when that is asked for
//   bfloat16   sums in float32. Operands that are float32 are rounded into scratch memory first; so is the bias where C is bfloat16, as the library
//              wants one type for both
//   epilogue   what the library does beside the product, sparing a pass over memory: add the bias, or sum the columns of a^T (the gradient of a bias).
//              GELU is not among it: the library has the tanh form, BERT the erf form (gelu.cu)
//   algorithm  the library is asked once for a class of sizes (class_of), and its first choice is kept. None is taken that is split over blocks which add to
//              the same number in the order of their arrival: the same bits on every run of one device
//   cost       2 M N K flop. Products of M = some thousand rows are bound by arithmetic when N and K are some hundred (M N K / (M K + K N + M N) flop per
//              byte, against the some 200 of a GPU's tensor cores per byte of its memory); those of a few rows by reading the weight

#include "kernels/matmul.h"

#include <bit>
#include <limits>
#include <vector>

#include "kernels/gpu.h"

#ifdef __CUDACC__
#include <cublasLt.h>

#include <map>
#include <optional>

#include "kernels/add.h"
#include "kernels/column_sum.h"
#include "kernels/device.h"
#include "kernels/round_to_bfloat16.h"
#endif

namespace locus::LOCUS_TARGET {

#ifdef __CUDACC__
namespace {

constexpr std::size_t workspace_bytes = std::size_t{32} << 20U;

void check(cublasStatus_t status, const char* what) {
    if (status != CUBLAS_STATUS_SUCCESS)
        throw GpuError(std::string("[matmul] ") + what + ": " + cublasLtGetStatusString(status));
}

// One product's form: all that the library's choice of an algorithm depends on.
struct Form {
    std::int64_t m, n, k, a_stride, b_stride, c_stride;
    std::uint32_t a_alignment, b_alignment, c_alignment,
        vector_alignment;  // of the addresses, in bytes: some algorithms want more than others
    bool transpose_a, transpose_b, c_is_bfloat16;
    Rounding rounding;
    cublasLtEpilogue_t epilogue;

    auto operator<=>(const Form&) const = default;
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

template <class Value>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)), "a preference");
}

// A row-major [rows, columns] is column-major [columns, rows].
cublasLtMatrixLayoutOpaque_t layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
    cublasLtMatrixLayoutOpaque_t made{};
    check(cublasLtMatrixLayoutInit(&made, type, static_cast<std::uint64_t>(columns), static_cast<std::uint64_t>(rows),
                                   stride),
          "a layout");
    return made;
}

// A form in the library's words: cheap to make, so made anew for each product. `vector` is the epilogue's: the bias, or where the sums go.
struct Description {
    Description(const Form& form, const void* vector);

    cublasLtMatmulDescOpaque_t product{};
    cublasLtMatrixLayoutOpaque_t a, b, c;
};

Description::Description(const Form& form, const void* vector) {
    const cublasComputeType_t compute =
        form.rounding == Rounding::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    check(cublasLtMatmulDescInit(&product, compute, CUDA_R_32F), "a product");
    set(&product, CUBLASLT_MATMUL_DESC_TRANSA, form.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);  // B comes first
    set(&product, CUBLASLT_MATMUL_DESC_TRANSB, form.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(&product, CUBLASLT_MATMUL_DESC_EPILOGUE, form.epilogue);
    if (form.epilogue != CUBLASLT_EPILOGUE_DEFAULT) set(&product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
    const cudaDataType_t operand = form.rounding == Rounding::bfloat16 ? CUDA_R_16BF : CUDA_R_32F;
    a = form.transpose_a ? layout(operand, form.k, form.m, form.a_stride)
                         : layout(operand, form.m, form.k, form.a_stride);
    b = form.transpose_b ? layout(operand, form.n, form.k, form.b_stride)
                         : layout(operand, form.k, form.n, form.b_stride);
    c = layout(form.c_is_bfloat16 ? CUDA_R_16BF : CUDA_R_32F, form.m, form.n, form.c_stride);
}

// What the library may choose from.
cublasLtMatmulPreferenceOpaque_t preference_of(const Form& form) {
    cublasLtMatmulPreferenceOpaque_t made{};
    check(cublasLtMatmulPreferenceInit(&made), "a preference");
    set(&made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
    const std::uint32_t ordered_sums = CUBLASLT_REDUCTION_SCHEME_MASK & ~CUBLASLT_REDUCTION_SCHEME_INPLACE;
    set(&made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, ordered_sums);
    set(&made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, form.b_alignment);
    set(&made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, form.a_alignment);
    set(&made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, form.c_alignment);
    set(&made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, form.c_alignment);
    return made;
}

// Nothing when the library has none for this form.
using Algorithm = std::optional<cublasLtMatmulAlgo_t>;

// The library's first choice: some 10 to 100 us of the processor's time.
Algorithm first_choice(const Form& form, const void* vector) {
    Description form_of = Description(form, vector);
    cublasLtMatmulPreferenceOpaque_t preference = preference_of(form);
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        library(), &form_of.product, &form_of.b, &form_of.a, &form_of.c, &form_of.c, &preference, 1, &found, &count);
    if (status != CUBLAS_STATUS_SUCCESS || count == 0) return std::nullopt;
    return found.algo;
}

// Eight classes for each power of two: a size and the largest of its class are at most an eighth apart.
std::int64_t largest_of_class(std::int64_t size) {
    const auto step = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(size)) / 8);
    return step <= 1 ? size : (size + step - 1) / step * step;
}

// From step to step forms differ in numbers of rows: tokens of a ragged batch, masked ones. These may grow without a stride or an address changing.
Form class_of(Form form) {
    if (!form.transpose_a) form.m = largest_of_class(form.m);
    if (form.transpose_a && !form.transpose_b) form.k = largest_of_class(form.k);
    return form;
}

// That of the form's class; where it does not fit this member, one of the form's own. Neither depends on which products came before. What the library has
// not for the largest of a class it lacks for all of it: types, transpositions and the epilogue decide that.
Algorithm algorithm_for(const Form& form, const void* vector) {
    static std::map<Form, Algorithm> chosen;
    const Form whole = class_of(form);
    auto found = chosen.find(whole);
    if (found == chosen.end()) found = chosen.emplace(whole, first_choice(whole, vector)).first;
    if (!found->second) return std::nullopt;
    Description exact = Description(form, vector);
    cublasLtMatmulHeuristicResult_t result{};
    const cublasStatus_t status = cublasLtMatmulAlgoCheck(library(), &exact.product, &exact.b, &exact.a, &exact.c,
                                                          &exact.c, &*found->second, &result);
    const bool fits = status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= workspace_bytes;
    return fits ? found->second : first_choice(form, vector);
}

// The largest power of two that divides the address, at most 256.
std::uint32_t alignment_of(const void* address) {
    const auto number = reinterpret_cast<std::uintptr_t>(address) | 256U;
    return static_cast<std::uint32_t>(number & (~number + 1));
}

Form form_of(const Matmul& args) {
    return {.m = args.c.shape[0],
            .n = args.c.shape[1],
            .k = args.a.shape[args.transpose_a ? 0 : 1],
            .a_stride = args.a.strides[0],
            .b_stride = args.b.strides[0],
            .c_stride = args.c.strides[0],
            .a_alignment = alignment_of(args.a.data),
            .b_alignment = alignment_of(args.b.data),
            .c_alignment = alignment_of(args.c.data),
            .vector_alignment = 0,  // these two: multiply()
            .transpose_a = args.transpose_a,
            .transpose_b = args.transpose_b,
            .c_is_bfloat16 = args.c.dtype == DType::bfloat16,
            .rounding = args.rounding,
            .epilogue = CUBLASLT_EPILOGUE_DEFAULT};
}

// False, and nothing is done, when the library has no algorithm for this.
bool multiply(const Matmul& args, cublasLtEpilogue_t epilogue, const void* vector) {
    Form form = form_of(args);
    form.epilogue = epilogue;
    form.vector_alignment = alignment_of(vector);
    const Algorithm algorithm = algorithm_for(form, vector);
    if (!algorithm) return false;
    Description of = Description(form, vector);
    const float one = 1.0F, kept = args.accumulate ? 1.0F : 0.0F;
    check(cublasLtMatmul(library(), &of.product, &one, args.b.data, &of.b, args.a.data, &of.a, &kept, args.c.data,
                         &of.c, args.c.data, &of.c, &*algorithm, workspace(), workspace_bytes,
                         static_cast<cudaStream_t>(stream())),
          "the product was refused");
    check_launch({"matmul", {0, 0, 0}, {0, 0, 0}});
    return true;
}

bool is_rounded_first(const Matmul& args, const Tensor& x) {
    return x && x.dtype == DType::float32 && args.rounding == Rounding::bfloat16;
}

// Bytes of scratch memory, a multiple of 16.
std::int64_t room_for(const Tensor& x) { return (x.count() * size_of(DType::bfloat16) + 15) / 16 * 16; }

// Rounds x into the room, rows without gaps, which becomes smaller by that.
Tensor rounded(const Tensor& x, char*& room) {
    const Tensor y(room, x.shape, DType::bfloat16, this_device);
    room += room_for(x);
    round_to_bfloat16({.x = x, .y = y});
    return y;
}

// The library chooses without a promise where the vector begins, and some of its kernels read 16 bytes of it at a time: they fault elsewhere (PyTorch's pull
// request 194497), as behind FIRE's parameters, which are an odd number.
bool is_moved_first(const Tensor& bias) { return bias && alignment_of(bias.data) < 16; }

Tensor moved(const Tensor& x, void* to) {
    const Tensor y(to, x.shape, x.dtype, this_device);
    copy(x, y);
    return y;
}

void multiply_or_throw(const Matmul& args, cublasLtEpilogue_t epilogue, const void* vector) {
    if (!multiply(args, epilogue, vector)) throw GpuError("[matmul] cuBLASLt has no algorithm for this form");
}

// The gradient of a bias beside that of its weight, `args` as the library takes it and `a` as it was given. The library overwrites, and where it has no
// algorithm for this the sum is a kernel of its own: of `a`, as that kernel's scratch memory is where args.a may have been rounded to.
void multiply_and_sum(const Matmul& args, const Tensor& a, void* room) {
    const Tensor sums(room, args.a_column_sum.shape, DType::float32, this_device);
    if (multiply(args, CUBLASLT_EPILOGUE_BGRADB, sums.data)) return add({.x = sums, .y = args.a_column_sum});
    multiply_or_throw(args, CUBLASLT_EPILOGUE_DEFAULT, nullptr);
    column_sum({.x = a, .sum = args.a_column_sum});
}

}  // namespace

void matmul(const Matmul& args) {
    const bool rounds_a = is_rounded_first(args, args.a), rounds_b = is_rounded_first(args, args.b);
    const bool rounds_bias = args.c.dtype == DType::bfloat16 && is_rounded_first(args, args.bias);
    const bool moves_bias = !rounds_bias && is_moved_first(args.bias);
    const std::int64_t bytes = (rounds_a ? room_for(args.a) : 0) + (rounds_b ? room_for(args.b) : 0) +
                               (rounds_bias ? room_for(args.bias) : 0) + (moves_bias ? args.bias.bytes() : 0) +
                               (args.a_column_sum ? args.a_column_sum.bytes() : 0);
    auto* room = static_cast<char*>(scratch(static_cast<std::size_t>(bytes)));
    Matmul stored = args;  // as the library takes it
    if (rounds_a) stored.a = rounded(args.a, room);
    if (rounds_b) stored.b = rounded(args.b, room);
    if (rounds_bias) stored.bias = rounded(args.bias.reshape({1, args.bias.count()}), room);
    if (moves_bias) stored.bias = moved(args.bias, room);
    if (args.a_column_sum) return multiply_and_sum(stored, args.a, room);
    multiply_or_throw(stored, args.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT, stored.bias.data);
}

#else

// The library stands in for the library: products themselves can be checked on a GPU only.

namespace {

// To the nearest number with 10 bits of mantissa, halfway away from zero, as tensor cores are given it. NaN and infinity stay.
float rounded_to_tf32(float x) {
    if (!(fabsf(x) <= std::numeric_limits<float>::max())) return x;
    return std::bit_cast<float>((std::bit_cast<std::uint32_t>(x) + 0x1000U) & 0xFFFFE000U);
}

// A matrix for the processor, which stores no bfloat16 and multiplies no TF32: where it is, or a float32 copy.
struct OnProcessor {
    explicit OnProcessor(const Tensor& x, Rounding rounding = Rounding::none) : tensor(x) {
        tensor.device = Device::cpu;
        if (x.dtype != DType::bfloat16 && rounding != Rounding::tf32) return;
        copied.resize(static_cast<std::size_t>(x.count()));
        tensor = Tensor(copied.data(), x.shape, DType::float32);
        for (std::int64_t i = 0; i < x.count(); ++i)
            copied[static_cast<std::size_t>(i)] =
                x.dtype == DType::bfloat16 ? load(element<bfloat16_t>(x, i)) : rounded_to_tf32(*element<float>(x, i));
    }
    void round_into(const Tensor& x) const {
        for (std::int64_t i = 0; i < x.count(); ++i) store(element<bfloat16_t>(x, i), tensor.as<float>()[i]);
    }
    template <class T>
    static T* element(const Tensor& x, std::int64_t i) {
        return x.as<T>() + i / x.shape[1] * x.strides[0] + i % x.shape[1];
    }

    std::vector<float> copied;
    Tensor tensor;
};

}  // namespace

void matmul(const Matmul& args) {
    with_device_memory([args] {
        const OnProcessor a(args.a, args.rounding), b(args.b, args.rounding), c(args.c), bias(args.bias);
        Matmul here = args;
        here.a = a.tensor;
        here.b = b.tensor;
        here.c = c.tensor;
        here.bias = bias.tensor;
        here.a_column_sum = Tensor();  // whoever called this sums
        if (args.rounding == Rounding::tf32) here.rounding = Rounding::none;
        locus::matmul(here);
        if (args.c.dtype == DType::bfloat16) c.round_into(args.c);
    });
}

#endif

}  // namespace locus::LOCUS_TARGET
