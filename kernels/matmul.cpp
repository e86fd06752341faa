// float32 products by oneDNN, which picks its own instructions by asking the processor (LOCUS_ISA bounds it too). A primitive is generated
// code for one shape: making one costs about half a millisecond, so each is kept with its memory objects, and a call only
// swaps addresses. Scratch memory is ours and shared by all, so that a step allocates nothing.
//
// One thread at a time may call this; the product itself uses all OpenMP threads.

#include "kernels/matmul.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <compare>
#include <map>
#include <new>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>

#include "kernels/isa.h"
#include "kernels/memory.h"

namespace locus {
namespace {

// What a primitive is generated for.
struct Form {
    std::int64_t m, n, k;
    std::int64_t a_stride, b_stride, c_stride;
    std::int64_t transpose_a, transpose_b, accumulate, bias;
    DType operands;
    std::int64_t threads;  // oneDNN divides the work when the primitive is made

    auto operator<=>(const Form&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 reads the 0 in it
};

struct Product {
    dnnl::primitive primitive;
    dnnl::memory a, b, c, bias, scratch;
};

dnnl::memory::desc describe(std::int64_t rows, std::int64_t columns, std::int64_t stride, bool transposed,
                            DType dtype) {
    return {{rows, columns},
            dtype == DType::bfloat16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32,
            transposed ? dnnl::memory::dims{1, stride} : dnnl::memory::dims{stride, 1}};
}

// oneDNN 3 dropped the descriptor object between the arguments and the primitive descriptor.
template <class... Descriptors>
dnnl::matmul::primitive_desc primitive_descriptor(const dnnl::engine& engine, const dnnl::primitive_attr& attributes,
                                                  const Descriptors&... descriptors) {
#if DNNL_VERSION_MAJOR >= 3
    return {engine, descriptors..., attributes};
#else
    return {dnnl::matmul::desc(descriptors...), attributes, engine};
#endif
}

class Library {
public:
    Library() : engine_(bounded_engine()), stream_(engine_) {}

    void multiply(const Matmul& args, const Form& form);

private:
    // Ragged batches bring new shapes with almost every step; past this many they are all made anew.
    static constexpr std::size_t most_products = 1024;

    static dnnl::engine bounded_engine();
    Product make(const Form& form) const;
    Product& find(const Form& form);

    dnnl::engine engine_;
    dnnl::stream stream_;
    std::map<Form, Product> products_;
    Buffer scratch_;
};

dnnl::engine Library::bounded_engine() {
    // Avx512 is not a bound: there the library also knows newer extensions.
    if (isa() != Isa::avx512) {
        const auto bound = isa() == Isa::avx2 ? dnnl::cpu_isa::avx2 : dnnl::cpu_isa::sse41;
        LOCUS_CHECK(dnnl::set_max_cpu_isa(bound) == dnnl::status::success, "matmul",
                    std::string("oneDNN does not accept the bound ") + name_of(isa()));
    }
    return {dnnl::engine::kind::cpu, 0};
}

Product Library::make(const Form& form) const {
    const auto a = describe(form.m, form.k, form.a_stride, form.transpose_a != 0, form.operands);
    const auto b = describe(form.k, form.n, form.b_stride, form.transpose_b != 0, form.operands);
    const auto c = describe(form.m, form.n, form.c_stride, false, DType::float32);
    const auto bias = describe(1, form.n, form.n, false, DType::float32);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (form.accumulate != 0) {
        dnnl::post_ops sum;
        sum.append_sum(1.0F);
        attributes.set_post_ops(sum);
    }
    const auto descriptor = form.bias != 0 ? primitive_descriptor(engine_, attributes, a, b, bias, c)
                                           : primitive_descriptor(engine_, attributes, a, b, c);
    const auto memory = [&](const dnnl::memory::desc& layout) { return dnnl::memory(layout, engine_, nullptr); };
    return {
        dnnl::matmul(descriptor), memory(a), memory(b), memory(c), memory(bias), memory(descriptor.scratchpad_desc())};
}

Product& Library::find(const Form& form) {
    const auto found = products_.find(form);
    if (found != products_.end()) return found->second;
    if (products_.size() >= most_products) products_.clear();
    return products_.emplace(form, make(form)).first->second;
}

void Library::multiply(const Matmul& args, const Form& form) {
    Product& product = find(form);
    const std::size_t scratch_bytes = product.scratch.get_desc().get_size();
    if (scratch_.bytes() < scratch_bytes) scratch_ = Buffer(scratch_bytes);
    product.a.set_data_handle(args.a.data);
    product.b.set_data_handle(args.b.data);
    product.c.set_data_handle(args.c.data);
    product.bias.set_data_handle(args.bias.data);
    product.scratch.set_data_handle(scratch_.data());
    // The C interface takes the arguments as an array; the C++ one would build a hash table for each call.
    const std::array<dnnl_exec_arg_t, 5> arguments = {{{DNNL_ARG_SRC, product.a.get()},
                                                       {DNNL_ARG_WEIGHTS, product.b.get()},
                                                       {DNNL_ARG_DST, product.c.get()},
                                                       {DNNL_ARG_SCRATCHPAD, product.scratch.get()},
                                                       {DNNL_ARG_BIAS, product.bias.get()}}};
    const int count = form.bias != 0 ? 5 : 4;
    dnnl::error::wrap_c_api(dnnl_primitive_execute(product.primitive.get(), stream_.get(), count, arguments.data()),
                            "matrix product");
    stream_.wait();
}

std::string form_of(const char* name, const Tensor& tensor, bool transposed) {
    return std::string(name) + " " + tensor.shape.to_string() + (transposed ? " transposed" : "");
}

std::string forms(const Matmul& args) {
    return form_of("a", args.a, args.transpose_a) + ", " + form_of("b", args.b, args.transpose_b) + ", " +
           form_of("c", args.c, false) + (args.bias ? ", " + form_of("bias", args.bias, false) : "");
}

void check_rows(const char* name, const Tensor& tensor, DType dtype) {
    LOCUS_CHECK(tensor.shape.rank() == 2, "matmul",
                std::string(name) + " is " + tensor.shape.to_string() + ", should be a matrix");
    LOCUS_CHECK(tensor.dtype == dtype && tensor.device == Device::cpu, "matmul",
                std::string(name) + " is " + name_of(tensor.dtype) + ", should be " + name_of(dtype));
    const bool columns_adjoin = tensor.shape[1] <= 1 || tensor.strides[1] == 1;
    const bool rows_apart = tensor.shape[0] <= 1 || tensor.strides[0] >= tensor.shape[1];
    LOCUS_CHECK(columns_adjoin && rows_apart, "matmul",
                std::string(name) + " " + tensor.shape.to_string() + " has the strides " + tensor.strides.to_string() +
                    ": columns must adjoin and rows not overlap");
}

void check(const Matmul& args) {
    check_rows("a", args.a, args.a.dtype);
    check_rows("b", args.b, args.a.dtype);
    const DType sums = args.a.dtype == DType::bfloat16 ? DType::float32 : args.a.dtype;
    check_rows("c", args.c, sums);
    const std::int64_t m = args.a.shape[args.transpose_a ? 1 : 0], k = args.a.shape[args.transpose_a ? 0 : 1];
    const std::int64_t k_of_b = args.b.shape[args.transpose_b ? 1 : 0], n = args.b.shape[args.transpose_b ? 0 : 1];
    LOCUS_CHECK(k == k_of_b && args.c.shape == (Shape{m, n}), "matmul", "shapes do not fit: " + forms(args));
    if (!args.bias) return;
    LOCUS_CHECK(args.bias.shape == (Shape{n}) && args.bias.is_contiguous() && args.bias.dtype == sums, "matmul",
                "bias does not fit: " + forms(args));
}

// The stride of a single row is never used, but oneDNN checks it.
std::int64_t row_stride(const Tensor& tensor) {
    return tensor.shape[0] > 1 ? tensor.strides[0] : std::max<std::int64_t>(tensor.shape[1], 1);
}

Form form_of(const Matmul& args) {
    return {args.c.shape[0],
            args.c.shape[1],
            args.a.shape[args.transpose_a ? 0 : 1],
            row_stride(args.a),
            row_stride(args.b),
            row_stride(args.c),
            args.transpose_a ? 1 : 0,
            args.transpose_b ? 1 : 0,
            args.accumulate ? 1 : 0,
            args.bias ? 1 : 0,
            args.a.dtype,
            omp_get_max_threads()};
}

// A sum over nothing, which the library refuses.
void multiply_nothing(const Matmul& args) {
    const float* const bias = args.bias ? args.bias.as<float>() : nullptr;
    for (std::int64_t row = 0; row < args.c.shape[0]; ++row) {
        float* const c = args.c.as<float>() + row * args.c.strides[0];
        for (std::int64_t column = 0; column < args.c.shape[1]; ++column) {
            c[column] = (args.accumulate ? c[column] : 0.0F) + (bias == nullptr ? 0.0F : bias[column]);
        }
    }
}

}  // namespace

DType bfloat16_operand() {
#if defined(__x86_64__)
    // Without the instructions oneDNN would emulate them, at a third of float32's speed.
    if (isa() == Isa::avx512 && __builtin_cpu_supports("avx512bf16")) return DType::bfloat16;
#endif
    return DType::float32;
}

void matmul(const Matmul& args) {
    check(args);
    if (args.a.dtype == DType::float64) return matmul_float64(args);
    LOCUS_CHECK(args.a.dtype == DType::float32 || args.a.dtype == bfloat16_operand(), "matmul",
                std::string(name_of(args.a.dtype)) + " is not multiplied by this processor: use float32 or float64");
    if (args.c.count() == 0) return;
    if (args.a.count() == 0) return multiply_nothing(args);
    static Library library;
    try {
        library.multiply(args, form_of(args));
    } catch (const dnnl::error& error) {
        if (error.status == dnnl_out_of_memory) throw std::bad_alloc();
        throw_contract("matmul", std::string("oneDNN: ") + error.message + ": " + forms(args));
    }
}

}  // namespace locus
