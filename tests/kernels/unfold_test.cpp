#include "kernels/unfold.h"

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

// Two sequences, of 4 and 2 rows; the first has a hole at position 2.
struct Problem {
    Owned offsets = int32s({0, 4, 6}), positions = int32s({0, 1, 3, 4, 0, 1});
    AttentionRows rows() const { return {offsets, positions}; }
};

TEST(Unfold, PutsNeighboursSideBySideWithZerosPastTheEndsAndInHoles) {
    for (DType dtype : {DType::float32, DType::float64}) {
        const Problem problem;
        Owned x({6, 2}, dtype), y({6, 6}, dtype);
        for (std::int64_t n = 0; n < 12; ++n) x.set(n, static_cast<double>(n + 1));
        unfold_forward({.x = x, .rows = problem.rows(), .width = 3, .y = y});
        const double expected[6][6] = {// left, own, right of the first column; then of the second
                                       {0, 1, 3, 0, 2, 4}, {1, 3, 0, 2, 4, 0},    {0, 5, 7, 0, 6, 8},
                                       {5, 7, 0, 6, 8, 0}, {0, 9, 11, 0, 10, 12}, {9, 11, 0, 10, 12, 0}};
        for (std::int64_t r = 0; r < 6; ++r) {
            for (std::int64_t c = 0; c < 6; ++c) EXPECT_EQ(y.get(r, c), expected[r][c]) << r << ", " << c;
        }
    }
}

TEST(Unfold, BackwardIsTheTransposeOfForward) {
    const Problem problem;
    for (const bool accumulate : {false, true}) {
        const Owned x = normals({6, 3}, DType::float64, 1), dy = normals({6, 15}, DType::float64, 2);
        Owned y({6, 15}, DType::float64), dx = normals({6, 3}, DType::float64, 3);
        const double before = accumulate ? dot(x, dx) : 0.0;
        unfold_forward({.x = x, .rows = problem.rows(), .width = 5, .y = y});
        unfold_backward({.dy = dy, .rows = problem.rows(), .width = 5, .dx = dx, .accumulate = accumulate});
        EXPECT_NEAR(dot(x, dx) - before, dot(y, dy), 1e-12);  // <x, U^T dy> = <U x, dy>
    }
}

TEST(Unfold, GivesOnAGpuWhatItGivesOnTheProcessor) {
    struct Solved {
        Owned y, dx;
    };
    constexpr std::int64_t columns = 90;
    const auto solved = [](std::int64_t width, bool accumulate) {
        // Empty sequences, a single row, and holes.
        const Owned offsets = int32s({0, 0, 4, 4, 6, 7}), positions = int32s({0, 1, 3, 4, 0, 3, 8});
        const Owned x = normals({7, columns}, DType::float32, 1), dy = normals({7, columns * width}, DType::float32, 2);
        Solved s = {Owned({7, columns * width}, DType::float32), normals({7, columns}, DType::float32, 3)};
        unfold_forward({.x = x, .rows = {offsets, positions}, .width = width, .y = s.y});
        unfold_backward({.dy = dy, .rows = {offsets, positions}, .width = width, .dx = s.dx, .accumulate = accumulate});
        return s;
    };
    for (const std::int64_t width : {1, 3, 7}) {
        for (const bool accumulate : {false, true}) {
            const Solved expected = solved(width, accumulate);
            on_each_gpu([&] {
                const Solved got = solved(width, accumulate);
                EXPECT_TRUE(identical("y", got.y, expected.y));
                EXPECT_TRUE(close("dx", got.dx, expected.dx, 0.0, 1e-6));
            });
        }
    }
}

TEST(Unfold, OfNoRowsDoesNothingOnAGpu) {
    on_each_gpu([] {
        const Owned offsets = int32s({0, 0}), none = int32s({}), x({0, 3}, DType::float32), y({0, 9}, DType::float32);
        unfold_forward({.x = x, .rows = {offsets, none}, .width = 3, .y = y});
        unfold_backward({.dy = y, .rows = {offsets, none}, .width = 3, .dx = x});
    });
}

TEST(Unfold, RefusesAnEvenWidth) {
    const Problem problem;
    Owned x({6, 2}, DType::float32), y({6, 8}, DType::float32);
    EXPECT_THROW(unfold_forward({.x = x, .rows = problem.rows(), .width = 4, .y = y}), std::logic_error);
}

}  // namespace
}  // namespace locus::test
