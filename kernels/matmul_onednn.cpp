// oneDNN picks its own instructions by asking the processor (LOCUS_ISA bounds it too). A primitive is generated
// code for one shape: making one costs about half a millisecond, so each is kept with its memory objects, and a call only
// swaps addresses. Scratch memory is ours and shared by all, so that a step allocates nothing.

#include "kernels/matmul_onednn.h"

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
#include "kernels/round_to_bfloat16.h"

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

    void multiply(const Matmul& args);

private:
    // Ragged batches bring new shapes with almost every step; past this many they are all made anew.
    static constexpr std::size_t most_products = 1024;

    static dnnl::engine bounded_engine();
    Product make(const Form& form) const;
    Product& find(const Form& form);
    static Tensor rounded(const Tensor& x, Buffer& memory);

    dnnl::engine engine_;
    dnnl::stream stream_;
    std::map<Form, Product> products_;
    Buffer scratch_, rounded_a_, rounded_b_;
};

dnnl::engine Library::bounded_engine() {
    // Avx512 is not a bound: there the library also knows newer extensions.
    if (isa() < Isa::avx512) {
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

// The stride of a single row is never used, but oneDNN checks it.
std::int64_t row_stride(const Tensor& tensor) {
    return tensor.shape[0] > 1 ? tensor.strides[0] : std::max<std::int64_t>(tensor.shape[1], 1);
}

Form form_of(const Matmul& args, const Tensor& a, const Tensor& b) {
    return {args.c.shape[0],
            args.c.shape[1],
            a.shape[args.transpose_a ? 0 : 1],
            row_stride(a),
            row_stride(b),
            row_stride(args.c),
            args.transpose_a ? 1 : 0,
            args.transpose_b ? 1 : 0,
            args.accumulate ? 1 : 0,
            args.bias ? 1 : 0,
            a.dtype,
            omp_get_max_threads()};
}

Tensor Library::rounded(const Tensor& x, Buffer& memory) {
    const DType dtype = bfloat16_operand();
    const auto bytes = static_cast<std::size_t>(x.count() * size_of(dtype));
    if (memory.bytes() < bytes) memory = Buffer(bytes);
    const Tensor y(memory.data(), x.shape, dtype);
    round_to_bfloat16({.x = x, .y = y});
    return y;
}

void Library::multiply(const Matmul& args) {
    const bool is_rounded = args.rounding == Rounding::bfloat16;
    const Tensor a = is_rounded ? rounded(args.a, rounded_a_) : args.a;
    const Tensor b = is_rounded ? rounded(args.b, rounded_b_) : args.b;
    const Form form = form_of(args, a, b);
    Product& product = find(form);
    const std::size_t scratch_bytes = product.scratch.get_desc().get_size();
    if (scratch_.bytes() < scratch_bytes) scratch_ = Buffer(scratch_bytes);
    product.a.set_data_handle(a.data);
    product.b.set_data_handle(b.data);
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

}  // namespace

DType bfloat16_operand() {
#if defined(__x86_64__)
    // Without the instructions oneDNN would emulate them, at a third of float32's speed.
    if (isa() >= Isa::avx512 && __builtin_cpu_supports("avx512bf16")) return DType::bfloat16;
#endif
    return DType::float32;
}

void matmul_onednn(const Matmul& args) {
    static Library library;
    try {
        library.multiply(args);
    } catch (const dnnl::error& error) {
        if (error.status == dnnl_out_of_memory) throw std::bad_alloc();
        throw_contract("matmul", std::string("oneDNN: ") + error.message);
    }
}

}  // namespace locus
