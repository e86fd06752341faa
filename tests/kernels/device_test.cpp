#include "kernels/device.h"

#include <stdexcept>
#include <string>

#include "kernels/add.h"
#include "kernels/gpu_memory.h"
#include "kernels/matmul.h"
#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

TEST(Device, NumbersComeBackAsTheyWent) {
    for (const Device device : gpus()) {
        const Owned numbers = normals({5, 7}, DType::float32, 1);
        const Buffer memory(static_cast<std::size_t>(numbers.tensor().bytes()), device),
            other(static_cast<std::size_t>(numbers.tensor().bytes()), device);
        const Tensor there(memory.data(), {5, 7}, DType::float32, device),
            beside(other.data(), {5, 7}, DType::float32, device);
        const Owned back({5, 7}, DType::float32);
        copy(there, back);
        EXPECT_TRUE(identical("a new buffer", back, zeros({5, 7}, DType::float32)));
        copy(numbers, there);
        copy(there, beside);
        copy(beside, back);
        EXPECT_TRUE(identical("copied", back, numbers));
        EXPECT_TRUE(close("HostCopy", HostCopy(beside).tensor(), numbers, 0, 0));
        fill_zeros(there);
        copy(there, back);
        EXPECT_TRUE(identical("filled", back, zeros({5, 7}, DType::float32)));
    }
}

TEST(Device, ACopyOfAnotherShapeIsRefused) {
    const Owned two = zeros({2}, DType::float32), three = zeros({3}, DType::float32);
    EXPECT_THROW(copy(two, three), std::logic_error);
}

TEST(Device, WhatIsMissingSaysSo) {
    if (is_available(Device::cuda)) GTEST_SKIP() << "there is a GPU";
    EXPECT_NE(why_unavailable(Device::cuda), "");
    EXPECT_THROW(Buffer(16, Device::cuda), GpuError);
    EXPECT_EQ(why_unavailable(Device::cpu), "");
}

TEST(Device, TensorsOfTwoDevicesAreNotMixed) {
    const Owned here = zeros({4}, DType::float32);
    on_each_gpu([&] {
        const Owned there = zeros({4}, DType::float32);
        EXPECT_THROW(add({.x = here, .y = there}), std::logic_error);
    });
}

struct ProductCase {
    std::int64_t m, n, k;
    bool transpose_a, transpose_b, bias, accumulate, bfloat16;
};
class ProductOnAGpu : public ::testing::TestWithParam<ProductCase> {};

Owned product_of(const ProductCase& one) {
    const Owned a = normals(one.transpose_a ? Shape{one.k, one.m} : Shape{one.m, one.k}, DType::float32, 1);
    const Owned b = normals(one.transpose_b ? Shape{one.n, one.k} : Shape{one.k, one.n}, DType::float32, 2);
    const Owned bias = normals({one.n}, DType::float32, 3), wide = normals({one.m, one.n + 3}, DType::float32, 4);
    matmul({.a = a,
            .b = b,
            .c = wide.tensor().slice(1, 2, one.n + 2),
            .transpose_a = one.transpose_a,
            .transpose_b = one.transpose_b,
            .bias = one.bias ? bias.tensor() : Tensor(),
            .accumulate = one.accumulate,
            .rounding = one.bfloat16 ? Rounding::bfloat16 : Rounding::none});
    return wide;
}

TEST_P(ProductOnAGpu, IsTheProcessors) {
    const Owned expected = product_of(GetParam());
    on_each_gpu([&] { EXPECT_TRUE(close("c", product_of(GetParam()), expected, 0, 1e-5)); });
}

INSTANTIATE_TEST_SUITE_P(Forms, ProductOnAGpu,
                         ::testing::Values(ProductCase{5, 7, 3, false, true, true, false, false},
                                           ProductCase{16, 8, 32, false, false, false, true, false},
                                           ProductCase{8, 24, 40, true, false, false, true, false},
                                           ProductCase{33, 17, 64, false, true, false, false, true},
                                           ProductCase{64, 128, 16, true, false, false, true, true}));

}  // namespace
}  // namespace locus::test
