#include "kernels/rotary.h"

#include <cmath>
#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

// Five rows of 2 heads of 7 channels to turn, 3 pairs each, and 4 columns beside them.
struct Problem {
    explicit Problem(DType dtype)
        : x(normals({5, 18}, dtype, 1)),
          cosines(Shape{9, 3}, dtype),
          sines(Shape{9, 3}, dtype),
          positions(int32s({8, 0, 3, 3, 1})) {
        for (int i = 0; i < 9; ++i) {
            for (int c = 0; c < 3; ++c) {
                cosines.set(i * 3 + c, std::cos(i * (c + 1.0) / 4));
                sines.set(i * 3 + c, std::sin(i * (c + 1.0) / 4));
            }
        }
    }
    Rotary arguments(Tensor to_turn) const {
        return {.x = to_turn, .positions = positions, .cosines = cosines, .sines = sines, .columns = 14, .head_dim = 7};
    }
    Owned x, cosines, sines, positions;
};

TEST(Rotary, TurnsEachPairByItsAngleAndLeavesTheRest) {
    for (DType dtype : {DType::float32, DType::float64}) {
        for (const bool interleaved : {false, true}) {
            const Problem problem(dtype);
            Owned y = problem.x, expected = problem.x;
            for (std::int64_t r = 0; r < 5; ++r) {
                const std::int64_t p = static_cast<std::int64_t>(problem.positions.get(r));
                for (std::int64_t head : {0, 7}) {
                    for (std::int64_t c = 0; c < 3; ++c) {
                        const std::int64_t a = r * 18 + head + (interleaved ? 2 * c : c), b = a + (interleaved ? 1 : 3);
                        const double cosine = problem.cosines.get(p * 3 + c), sine = problem.sines.get(p * 3 + c);
                        expected.set(a, problem.x.get(a) * cosine - problem.x.get(b) * sine);
                        expected.set(b, problem.x.get(a) * sine + problem.x.get(b) * cosine);
                    }
                }
            }
            Rotary args = problem.arguments(y);
            args.interleaved = interleaved;
            rotary(args);
            EXPECT_TRUE(close("y", y, expected, 0.0, dtype == DType::float32 ? 3e-7 : 1e-15));
        }
    }
}

TEST(Rotary, TurningBackGivesTheInput) {
    const Problem problem(DType::float64);
    Owned y = problem.x;
    rotary(problem.arguments(y));
    EXPECT_FALSE(close("y", y, problem.x, 0.0, 1e-3));
    Rotary back = problem.arguments(y);
    back.inverse = true;
    rotary(back);
    EXPECT_TRUE(close("y", y, problem.x, 0.0, 1e-15));
}

TEST(Rotary, GivesOnAGpuWhatItGivesOnTheProcessor) {
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        for (const int form : {0, 1, 2, 3}) {
            const auto solved = [&](DType computed_in) {
                const Problem problem(DType::float32);
                Owned y = converted(converted(problem.x, dtype), computed_in);
                Rotary args = problem.arguments(y);
                args.interleaved = form % 2 == 1;
                args.inverse = form / 2 == 1;
                rotary(args);
                return y;
            };
            const Owned expected = solved(DType::float32);
            on_each_gpu(
                [&] { EXPECT_TRUE(close("y", solved(dtype), expected, 0.0, dtype == DType::float32 ? 3e-7 : 4e-3)); });
        }
    }
}

// Numbers of channels and pairs that go in eights: 3 heads of 48 channels, 16 pairs each, which leave 16 channels alone, and 8 columns beside them.
TEST(Rotary, GivesOnAGpuInEightsWhatItGivesOnTheProcessor) {
    const auto solved = [](DType dtype, DType computed_in, int form) {
        const Owned cosines = normals({9, 16}, DType::float32, 2), sines = normals({9, 16}, DType::float32, 3);
        const Owned positions = int32s({8, 0, 3, 3, 1});
        Owned y = converted(normals({5, 152}, dtype, 1), computed_in);
        rotary({.x = y,
                .positions = positions,
                .cosines = cosines,
                .sines = sines,
                .columns = 144,
                .head_dim = 48,
                .interleaved = form % 2 == 1,
                .inverse = form / 2 == 1});
        return y;
    };
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        for (const int form : {0, 1, 2, 3}) {
            const Owned expected = solved(dtype, DType::float32, form);
            on_each_gpu([&] {
                EXPECT_TRUE(
                    close("y", solved(dtype, dtype, form), expected, 0.0, dtype == DType::float32 ? 3e-7 : 4e-3));
            });
        }
    }
}

TEST(Rotary, OnAGpuAPositionOutsideOfTheTableIsFoundWhenItIsWaitedFor) {
    for (const std::int32_t bad : {-1, 9}) {
        on_each_gpu([&] {
            const Problem problem(DType::float32);
            Owned y = problem.x;
            Rotary args = problem.arguments(y);
            const Owned positions = int32s({0, 1, bad, 8, 0});
            args.positions = positions;
            rotary(args);
            EXPECT_THROW(wait_for(OnDevice::current()), std::out_of_range);
            EXPECT_NO_THROW(wait_for(OnDevice::current()));
            for (std::int64_t c = 0; c < 18; ++c) EXPECT_EQ(y.get(2, c), problem.x.get(2, c));
        });
    }
}

TEST(Rotary, BrokenContractsAreNamed) {
    const Problem problem(DType::float32);
    Owned y = problem.x;
    Rotary args = problem.arguments(y);
    args.columns = 15;
    EXPECT_THROW(rotary(args), std::logic_error);
    args = problem.arguments(y);
    args.head_dim = 2;
    EXPECT_THROW(rotary(args), std::logic_error);
    args = problem.arguments(y);
    const Owned outside = int32s({0, 1, 2, 9, 0});
    args.positions = outside;
    EXPECT_THROW(rotary(args), std::out_of_range);
}

}  // namespace
}  // namespace locus::test
