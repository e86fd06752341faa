#include "kernels/row_products.h"

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

struct Problem {
    explicit Problem(DType dtype, std::int64_t head_dim = 7)
        : a(normals({5, 2 * head_dim}, dtype, 1)), b(normals({4, 2 * head_dim}, dtype, 2)) {}
    RowProducts operands() const {
        return {.a = a, .b = b, .a_rows = a_rows, .b_rows = b_rows, .heads = 2, .scale = 0.25};
    }
    Owned a, b;
    Owned a_rows = int32s({0, 4, 4, 2, 4, 1}), b_rows = int32s({3, 3, 0, 1, 0, 2});
};

TEST(RowProducts, AreTheScaledDotProductsOfTheRowsNamed) {
    for (DType dtype : {DType::float32, DType::float64}) {
        const Problem problem(dtype);
        Owned y({2, 6}, dtype), expected({2, 6}, dtype);
        for (std::int64_t h = 0; h < 2; ++h) {
            for (std::int64_t n = 0; n < 6; ++n) {
                const auto i = static_cast<std::int64_t>(problem.a_rows.get(n)),
                           j = static_cast<std::int64_t>(problem.b_rows.get(n));
                double sum = 0;
                for (std::int64_t c = 0; c < 7; ++c)
                    sum += problem.a.get(i * 14 + h * 7 + c) * problem.b.get(j * 14 + h * 7 + c);
                expected.set(h * 6 + n, 0.25 * sum);
            }
        }
        row_products_forward({.operands = problem.operands(), .y = y});
        EXPECT_TRUE(close("y", y, expected, 0.0, dtype == DType::float32 ? 1e-6 : 1e-14));
    }
}

TEST(RowProducts, BackwardMatchesDifferences) {
    Problem problem(DType::float64);
    const Owned dy = normals({2, 6}, DType::float64, 3);
    Owned y({2, 6}, DType::float64), da = zeros({5, 14}, DType::float64), db = zeros({4, 14}, DType::float64);
    row_products_backward({.dy = dy, .operands = problem.operands(), .da = da, .db = db});
    GradientCheck check([&] {
        row_products_forward({.operands = problem.operands(), .y = y});
        return dot(dy, y);
    });
    check.input("a", problem.a, da);
    check.input("b", problem.b, db);
    EXPECT_TRUE(check.run());
}

TEST(RowProducts, GiveOnAGpuWhatTheyGiveOnTheProcessor) {
    struct Solved {
        Owned y, da, db;
    };
    for (const std::int64_t head_dim : {1, 7, 64, 150}) {
        const auto solved = [&] {
            const Problem problem(DType::float32, head_dim);
            const Owned dy = normals({2, 6}, DType::float32, 3);
            Solved all = {zeros({2, 6}, DType::float32), normals(problem.a.shape(), DType::float32, 4),
                          normals(problem.b.shape(), DType::float32, 5)};
            row_products_forward({.operands = problem.operands(), .y = all.y});
            row_products_backward({.dy = dy, .operands = problem.operands(), .da = all.da, .db = all.db});
            return all;
        };
        const Solved expected = solved();
        on_each_gpu([&] {
            const Solved got = solved();
            EXPECT_TRUE(close("y", got.y, expected.y, 0.0, 1e-6));
            EXPECT_TRUE(close("da", got.da, expected.da, 0.0, 1e-6));
            EXPECT_TRUE(close("db", got.db, expected.db, 0.0, 1e-6));
        });
    }
}

TEST(RowProducts, OnAGpuFindARowThatIsNotThereWhenTheyAreWaitedFor) {
    for (const double bad : {-1.0, 4.0}) {
        on_each_gpu([&] {
            Problem problem(DType::float32);
            problem.b_rows.set(2, bad);
            Owned y({2, 6}, DType::float32), da = zeros({5, 14}, DType::float32), db = zeros({4, 14}, DType::float32);
            row_products_forward({.operands = problem.operands(), .y = y});
            EXPECT_THROW(wait_for(OnDevice::current()), std::out_of_range);
            row_products_backward({.dy = y, .operands = problem.operands(), .da = da, .db = db});
            EXPECT_THROW(wait_for(OnDevice::current()), std::out_of_range);
        });
    }
}

TEST(RowProducts, RefuseARowThatIsNotThere) {
    Problem problem(DType::float32);
    problem.b_rows.set(2, 4);
    Owned y({2, 6}, DType::float32);
    EXPECT_THROW(row_products_forward({.operands = problem.operands(), .y = y}), std::logic_error);
}

}  // namespace
}  // namespace locus::test
