#include "kernels/transpose.h"

#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

TEST(Transpose, ExchangesRowsAndColumns) {
    for (DType dtype : {DType::float32, DType::float64}) {
        for (const Shape& shape : {Shape{1, 1}, Shape{1, 17}, Shape{33, 5}, Shape{4, 255}}) {
            const Owned x = normals(shape, dtype, 1);
            const Owned before = normals({shape[1], shape[0]}, dtype, 2);
            for (const bool accumulate : {false, true}) {
                Owned y = before, expected = before;
                for (std::int64_t r = 0; r < shape[0]; ++r) {
                    for (std::int64_t c = 0; c < shape[1]; ++c) {
                        const std::int64_t at = c * shape[0] + r;
                        expected.set(at, (accumulate ? before.get(at) : 0.0) + x.get(r, c));
                    }
                }
                transpose({.x = x, .y = y, .accumulate = accumulate});
                EXPECT_TRUE(identical("y", y, expected));
            }
        }
    }
}

TEST(Transpose, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const auto solved = [](const Shape& shape, bool accumulate, DType dtype, DType computed_in) {
        Owned y = converted(normals({shape[1], shape[0]}, dtype, 2), computed_in);
        transpose({.x = converted(normals(shape, dtype, 1), computed_in), .y = y, .accumulate = accumulate});
        return converted(y, dtype);
    };
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        for (const Shape& shape :
             {Shape{1, 1}, Shape{1, 17}, Shape{33, 5}, Shape{4, 255}, Shape{64, 32}, Shape{65, 70}}) {
            for (const bool accumulate : {false, true}) {
                const Owned expected = solved(shape, accumulate, dtype, DType::float32);
                on_each_gpu([&] { EXPECT_TRUE(identical("y", solved(shape, accumulate, dtype, dtype), expected)); });
            }
        }
    }
}

TEST(Transpose, BrokenContractsAreNamed) {
    const Owned x = normals({4, 6}, DType::float32, 1), same = normals({4, 6}, DType::float32, 1);
    EXPECT_THROW(transpose({x, same}), std::logic_error);
    EXPECT_THROW(transpose({x, normals({6, 4}, DType::float64, 1)}), std::logic_error);
    EXPECT_THROW(transpose({normals({3}, DType::float32, 1), same}), std::logic_error);
}

}  // namespace
}  // namespace locus::test
