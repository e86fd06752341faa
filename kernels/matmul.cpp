#include "kernels/matmul.h"

#include <string>
#include <utility>

#include "kernels/call_context.h"
#include "kernels/column_sum.h"
#include "kernels/device.h"
#include "kernels/isa.h"
#include "kernels/matmul_amx.h"
#include "kernels/matmul_onednn.h"

namespace locus {
LOCUS_DECLARE_ON_GPU(matmul, Matmul)

namespace {

std::string form_of(const char* name, const Tensor& tensor, bool transposed) {
    return std::string(name) + " " + tensor.shape.to_string() + (transposed ? " transposed" : "");
}

std::string forms(const Matmul& args) {
    return form_of("a", args.a, args.transpose_a) + ", " + form_of("b", args.b, args.transpose_b) + ", " +
           form_of("c", args.c, false) + (args.bias ? ", " + form_of("bias", args.bias, false) : "");
}

// On a GPU a product of bfloat16 numbers takes and gives them as they are, too.
void check_dtype(const char* name, DType dtype, const Matmul& args) {
    const bool on_gpu = args.a.device != Device::cpu, may_be_bfloat16 = on_gpu && args.rounding == Rounding::bfloat16;
    const DType expected = on_gpu ? DType::float32 : args.a.dtype;
    LOCUS_CHECK(dtype == expected || (may_be_bfloat16 && dtype == DType::bfloat16), "matmul",
                std::string(name) + " is " + name_of(dtype) + ", should be " + name_of(expected) +
                    (may_be_bfloat16 ? " or bfloat16" : ""));
}

void check_rows(const char* name, const Tensor& tensor, Device device) {
    note_argument(name, tensor);
    LOCUS_CHECK(tensor.shape.rank() == 2, "matmul",
                std::string(name) + " is " + tensor.shape.to_string() + ", should be a matrix");
    LOCUS_CHECK(tensor.device == device, "matmul",
                std::string(name) + " lies on " + name_of(tensor.device) + ", should lie on " + name_of(device));
    const bool columns_adjoin = tensor.shape[1] <= 1 || tensor.strides[1] == 1;
    const bool rows_apart = tensor.shape[0] <= 1 || tensor.strides[0] >= tensor.shape[1];
    LOCUS_CHECK(columns_adjoin && rows_apart, "matmul",
                std::string(name) + " " + tensor.shape.to_string() + " has the strides " + tensor.strides.to_string() +
                    ": columns must adjoin and rows not overlap");
}

// The form of a product, for the error of a library that refuses it.
void note_form(const Matmul& args) {
    note_argument("transpose_a", args.transpose_a);
    note_argument("transpose_b", args.transpose_b);
    note_argument("bias", args.bias);
    note_argument("accumulate", args.accumulate);
    note_argument("bfloat16", args.rounding == Rounding::bfloat16);
    note_argument("tf32", args.rounding == Rounding::tf32);
}

void check(const Matmul& args) {
    note_form(args);
    for (const auto& [name, tensor] : {std::pair{"a", &args.a}, {"b", &args.b}, {"c", &args.c}}) {
        check_dtype(name, tensor->dtype, args);
        check_rows(name, *tensor, args.a.device);
    }
    const std::int64_t m = args.a.shape[args.transpose_a ? 1 : 0], k = args.a.shape[args.transpose_a ? 0 : 1];
    const std::int64_t k_of_b = args.b.shape[args.transpose_b ? 1 : 0], n = args.b.shape[args.transpose_b ? 0 : 1];
    LOCUS_CHECK(k == k_of_b && args.c.shape == (Shape{m, n}), "matmul", "shapes do not fit: " + forms(args));
    LOCUS_CHECK(args.rounding != Rounding::tf32 || args.a.device != Device::cpu, "matmul",
                "the processor does not round to TF32");
    const DType dtype = args.a.device == Device::cpu ? args.a.dtype : DType::float32;  // of vectors
    const auto is_vector = [&](const Tensor& x, std::int64_t count) {
        return x.shape == (Shape{count}) && x.is_contiguous() && x.dtype == dtype && x.device == args.a.device;
    };
    LOCUS_CHECK(!args.bias || is_vector(args.bias, n), "matmul", "bias does not fit: " + forms(args));
    if (!args.a_column_sum) return;
    LOCUS_CHECK(args.transpose_a && !args.bias && args.c.dtype == dtype && is_vector(args.a_column_sum, m), "matmul",
                "a_column_sum " + args.a_column_sum.shape.to_string() + " does not fit: " + forms(args));
}

// A sum over nothing.
void multiply_nothing(const Matmul& args) {
    if (args.c.device != Device::cpu) {
        LOCUS_CHECK(!args.bias, "matmul", "a product over nothing with a bias: " + forms(args));
        if (!args.accumulate) fill_zeros(args.c);
        return;
    }
    const float* const bias = args.bias ? args.bias.as<float>() : nullptr;
    for (std::int64_t row = 0; row < args.c.shape[0]; ++row) {
        float* const c = args.c.as<float>() + row * args.c.strides[0];
        for (std::int64_t column = 0; column < args.c.shape[1]; ++column) {
            c[column] = (args.accumulate ? c[column] : 0.0F) + (bias == nullptr ? 0.0F : bias[column]);
        }
    }
}

void multiply(const Matmul& arguments) {
    if (arguments.a.dtype == DType::float64) return matmul_float64(arguments);
    LOCUS_CHECK(
        arguments.a.dtype == DType::float32 || arguments.a.device != Device::cpu, "matmul",
        std::string(name_of(arguments.a.dtype)) + " is not multiplied: use float32, rounded or not, or float64");
    if (arguments.c.count() == 0) return;
    if (arguments.a.count() == 0) return multiply_nothing(arguments);
    LOCUS_CALL_ON_GPU(matmul, arguments.a.device)
    return isa() == Isa::amx ? matmul_amx(arguments) : matmul_onednn(arguments);
}

}  // namespace

const char* multiplier_of(DType dtype) {
    if (dtype == DType::float64) return "own kernel";
    return isa() == Isa::amx ? "own kernel on tile registers" : "oneDNN";
}

void matmul(const Matmul& args) {
    check(args);
    multiply(args);
    const bool is_summed = args.a.device == Device::cuda && args.b.count() > 0;  // in matmul.cu, beside the product
    if (args.a_column_sum && !is_summed) column_sum({.x = args.a, .sum = args.a_column_sum});
}

}  // namespace locus
