// Rounding in integers: adding half of the last kept place, less one when the kept part is even, carries exactly when the number must go
// up. A NaN whose payload lies in the lower half would become an infinity; it is made quiet instead.

#include "kernels/round_to_bfloat16.h"

#include <bit>

#include "kernels/checks.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

inline std::uint32_t upper_half(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U;
    const std::uint32_t quiet = (bits >> 16U) | 0x40U;
    return (bits & 0x7FFFFFFFU) > 0x7F800000U ? quiet : rounded;
}

inline void store(std::uint32_t upper, std::uint16_t& y) { y = static_cast<std::uint16_t>(upper); }
inline void store(std::uint32_t upper, float& y) { y = std::bit_cast<float>(upper << 16U); }

template <class Stored>
void round_rows(const RoundToBfloat16& args, Stored* y) {
    const float* const x = args.x.as<float>();
    const std::int64_t rows = args.x.shape[0], columns = args.x.shape[1], stride = args.x.strides[0];
#pragma omp parallel for schedule(static)
    for (std::int64_t row = 0; row < rows; ++row) {
        const float* const from = x + row * stride;
        Stored* const to = y + row * columns;
#pragma omp simd
        for (std::int64_t column = 0; column < columns; ++column) store(upper_half(from[column]), to[column]);
    }
}

[[maybe_unused]] void check(const RoundToBfloat16& args) {
    const Op op = {"round_to_bfloat16", args.x.device};
    const Shape shape = matrix_shape(op, "x", args.x);
    check_rows(op, "x", args.x, shape);
    check_dtype(op, "x", args.x, DType::float32);
    check_contiguous(op, "y", args.y, shape);
    if (args.y.dtype != DType::float32) check_dtype(op, "y", args.y, DType::bfloat16);
}

}  // namespace

void round_to_bfloat16(const RoundToBfloat16& args) {
    if (args.y.dtype == DType::float32) return round_rows(args, args.y.as<float>());
    round_rows(args, static_cast<std::uint16_t*>(args.y.data));
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(round_to_bfloat16, RoundToBfloat16, x)
