#include "kernels/fire.h"

#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

struct Case {
    double c, t, slope, threshold;  // of C and T
    bool is_signed;
    std::int64_t longest;
};

struct Solved {
    Owned x, dc, dt;
};

Solved solved(const Case& given) {
    const Owned c = filled({1}, DType::float32, given.c), t = filled({1}, DType::float32, given.t);
    const Owned dx = normals({2 * given.longest - 1}, DType::float32, 1);
    Solved result = {Owned({2 * given.longest - 1}, DType::float32), filled({1}, DType::float32, 0.25),
                     filled({1}, DType::float32, -0.5)};
    FireDistances args = {.c = c,
                          .t = t,
                          .slope = given.slope,
                          .threshold = given.threshold,
                          .is_signed = given.is_signed,
                          .x = result.x,
                          .dc = {},
                          .dt = {}};
    fire_distances_forward(args);
    args.x = dx;
    args.dc = result.dc;
    args.dt = result.dt;
    fire_distances_backward(args);
    wait_for(OnDevice::current());
    return result;
}

class FireOf : public ::testing::TestWithParam<Case> {};

TEST_P(FireOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const Solved expected = solved(GetParam());
    on_each_gpu([&] {
        const Solved got = solved(GetParam());
        EXPECT_TRUE(close("x", got.x, expected.x, 0.0, 1e-6));
        EXPECT_TRUE(close("dC", got.dc, expected.dc, 0.0, 1e-6));
        EXPECT_TRUE(close("dT", got.dt, expected.dt, 0.0, 1e-6));
    });
}

// The threshold below and above the longest distance, both signs of C and T, a single distance
INSTANTIATE_TEST_SUITE_P(Shapes, FireOf,
                         ::testing::Values(Case{0.1, 1.0, 1, 2, true, 20}, Case{-0.4, -2.0, 3, 64, true, 20},
                                           Case{0.1, 1.0, 1, 512, false, 200}, Case{2.0, -1.0, -1, 5, false, 300},
                                           Case{0.1, 1.0, 1, 2, true, 1}));

TEST(Fire, BrokenContractsAreNamed) {
    const Owned one({1}, DType::float32), even({4}, DType::float32), odd({5}, DType::float32);
    EXPECT_THROW(fire_distances_forward({.c = one, .t = one, .x = even, .dc = {}, .dt = {}}), std::logic_error);
    EXPECT_THROW(fire_distances_backward({.c = one, .t = one, .x = odd, .dc = {}, .dt = {}}), std::logic_error);
    on_each_gpu([] {
        const Owned there({1}, DType::float32), x({5}, DType::float32);
        EXPECT_THROW(fire_distances_backward({.c = there, .t = there, .x = x, .dc = {}, .dt = {}}), std::logic_error);
    });
}

}  // namespace
}  // namespace locus::test
