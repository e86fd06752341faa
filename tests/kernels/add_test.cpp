#include "kernels/add.h"

#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

TEST(Add, AddsElementByElement) {
    for (DType dtype : {DType::float32, DType::float64}) {
        for (const Shape& shape :
             {Shape{1}, Shape{3, 17}, Shape{100, 33}, Shape{2, 3, 5}, Shape{3, 8}, Shape{100, 40}}) {
            const Owned x = normals(shape, dtype, 1);
            Owned y = normals(shape, dtype, 2), expected = y;
            for (std::int64_t i = 0; i < y.count(); ++i) expected.set(i, x.get(i) + y.get(i));
            add({x, y});
            EXPECT_TRUE(identical("y", y, expected));
        }
    }
}

TEST(Add, GivesOnAGpuWhatItGivesOnTheProcessor) {
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        for (const Shape& shape : {Shape{1}, Shape{3, 17}, Shape{100, 33}, Shape{2, 3, 5}}) {
            const Owned x = converted(normals(shape, dtype, 1), DType::float32);
            const Owned sum = converted(normals(shape, dtype, 2), DType::float32);
            add({x, sum});
            const Owned expected = converted(sum, dtype);
            on_each_gpu([&] {
                const Owned y = normals(shape, dtype, 2);
                add({normals(shape, dtype, 1), y});
                EXPECT_TRUE(identical("y", y, expected));
            });
        }
    }
}

TEST(Add, RefusesTensorsOfTwoDevices) {
    const Owned here = normals({4, 6}, DType::float32, 1);
    on_each_gpu([&] {
        const Owned there = normals({4, 6}, DType::float32, 1);
        EXPECT_THROW(add({here, there}), std::logic_error);
        EXPECT_THROW(add({there, here}), std::logic_error);
        EXPECT_THROW(add({normals({4}, DType::float64, 1), normals({4}, DType::float64, 1)}), std::logic_error);
    });
}

TEST(Add, BrokenContractsAreNamed) {
    const Owned x = normals({4, 6}, DType::float32, 1), other = normals({6, 4}, DType::float32, 1);
    EXPECT_THROW(add({x, other}), std::logic_error);
    EXPECT_THROW(add({x, normals({4, 6}, DType::float64, 1)}), std::logic_error);
    EXPECT_THROW(add({x.tensor().slice(1, 0, 2), other.tensor().slice(1, 0, 2)}), std::logic_error);
    EXPECT_THROW(add({int32s({1, 2}), int32s({1, 2})}), std::logic_error);
    EXPECT_THROW(add({Tensor(), Tensor()}), std::logic_error);
}

TEST(Add, OfNothingDoesNothing) {
    const Owned none({0, 4}, DType::float32);
    EXPECT_NO_THROW(add({none, none}));
    on_each_gpu([] {
        const Owned nothing({0, 4}, DType::float32);
        EXPECT_NO_THROW(add({nothing, nothing}));
    });
}

}  // namespace
}  // namespace locus::test
