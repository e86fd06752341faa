#include "kernels/kerple.h"

#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

struct Case {
    std::int64_t sides, heads, reach;
    bool power;
};

struct Solved {
    Owned bias, da, dp;
};

Solved solved(const Case& c) {
    const Shape learned = {c.sides, c.heads}, all = {c.heads, 2 * c.reach + 1};
    const Owned a = normals(learned, DType::float32, 1), p = normals(learned, DType::float32, 2);
    const Owned dbias = normals(all, DType::float32, 3);
    Solved result = {Owned(all, DType::float32), normals(learned, DType::float32, 4),
                     normals(learned, DType::float32, 5)};
    Kerple args = {.a = a, .p = p, .power = c.power, .bias = result.bias, .da = {}, .dp = {}};
    kerple_forward(args);
    args.bias = dbias;
    args.da = result.da;
    args.dp = result.dp;
    kerple_backward(args);
    wait_for(OnDevice::current());
    return result;
}

class KerpleOf : public ::testing::TestWithParam<Case> {};

TEST_P(KerpleOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const Solved expected = solved(GetParam());
    on_each_gpu([&] {
        const Solved got = solved(GetParam());
        EXPECT_TRUE(close("bias", got.bias, expected.bias, 1e-30, 1e-6));
        EXPECT_TRUE(close("dA", got.da, expected.da, 0.0, 1e-5));
        EXPECT_TRUE(close("dP", got.dp, expected.dp, 0.0, 1e-5));
    });
}

INSTANTIATE_TEST_SUITE_P(Shapes, KerpleOf,
                         ::testing::Values(Case{1, 2, 5, false}, Case{2, 3, 5, false}, Case{1, 2, 5, true},
                                           Case{2, 3, 5, true}, Case{2, 1, 200, false}, Case{1, 5, 200, true},
                                           Case{1, 2, 0, true}));

TEST(Kerple, BrokenContractsAreNamed) {
    const Owned a({3, 2}, DType::float32), one({1, 2}, DType::float32), bias({2, 5}, DType::float32);
    EXPECT_THROW(kerple_forward({a, a, false, bias, {}, {}}), std::logic_error);
    EXPECT_THROW(kerple_backward({one, one, false, bias, {}, {}}), std::logic_error);
    on_each_gpu([] {
        const Owned there({1, 2}, DType::float32), x({2, 5}, DType::float32);
        EXPECT_THROW(kerple_backward({there, there, false, x, {}, {}}), std::logic_error);
    });
}

}  // namespace
}  // namespace locus::test
