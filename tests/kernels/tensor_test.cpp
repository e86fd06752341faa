#include "kernels/tensor.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace locus {
namespace {

TEST(Shape, CountsAndPrints) {
    EXPECT_EQ((Shape{2, 3, 4}).count(), 24);
    EXPECT_EQ(Shape{}.count(), 1);
    EXPECT_EQ((Shape{5, 0}).count(), 0);
    EXPECT_EQ((Shape{32, 128, 256}).to_string(), "[32, 128, 256]");
    EXPECT_EQ((Shape{2, 3, 4})[-1], 4);
    EXPECT_FALSE((Shape{2, 3}) == (Shape{2, 3, 1}));
}

TEST(Tensor, IsRowMajor) {
    std::vector<float> data(24);
    const Tensor tensor(data.data(), {2, 3, 4}, DType::float32);
    EXPECT_EQ(tensor.strides, (Shape{12, 4, 1}));
    EXPECT_TRUE(tensor.is_contiguous());
    EXPECT_EQ(tensor.bytes(), 96);
}

TEST(Tensor, ASliceOfColumnsKeepsTheStrideAndIsNotContiguous) {
    std::vector<double> data(20);
    const Tensor part = Tensor(data.data(), {4, 5}, DType::float64).slice(1, 2, 4);
    EXPECT_EQ(part.shape, (Shape{4, 2}));
    EXPECT_EQ(part.strides, (Shape{5, 1}));
    EXPECT_EQ(part.data, data.data() + 2);
    EXPECT_FALSE(part.is_contiguous());
    EXPECT_TRUE(Tensor(data.data(), {4, 5}, DType::float64).slice(0, 1, 3).is_contiguous());
}

TEST(Tensor, BrokenContractsAreNamed) {
    std::vector<float> data(20);
    const Tensor tensor(data.data(), {4, 5}, DType::float32);
    EXPECT_THROW(tensor.as<double>(), std::logic_error);
    EXPECT_THROW(tensor.slice(1, 3, 6), std::logic_error);
    EXPECT_THROW(tensor.slice(1, 0, 2).reshape({8}), std::logic_error);
    EXPECT_THROW(tensor.reshape({3, 7}), std::logic_error);
    try {
        tensor.as<std::int32_t>();
        FAIL() << "accepted";
    } catch (const std::logic_error& error) {
        EXPECT_STREQ(error.what(), "[tensor] holds float32, asked for int32");
    }
}

TEST(DType, HasASizeAndAName) {
    EXPECT_EQ(size_of(DType::bfloat16), 2);
    EXPECT_EQ(size_of(DType::float64), 8);
    EXPECT_EQ(size_of(DType::int32), 4);
    EXPECT_STREQ(name_of(DType::bfloat16), "bfloat16");
}

}  // namespace
}  // namespace locus
