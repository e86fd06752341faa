#include "kernels/bias_network.h"

#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

struct Case {
    std::int64_t distances, hidden, heads;
    double ceiling;
    bool to_distances;  // whether somebody asks for dx
};

struct Problem {
    Problem(const Case& c, DType dtype)
        : x(normals({c.distances}, dtype, 1)),
          w1(normals({c.hidden}, dtype, 2)),
          b1(normals({c.hidden}, dtype, 3)),
          w2(normals({c.heads, c.hidden}, dtype, 4)),
          y({c.heads, c.distances}, dtype),
          dy(normals({c.heads, c.distances}, dtype, 5)),
          dx(normals({c.distances}, dtype, 6)),
          dw1(normals({c.hidden}, dtype, 7)),
          db1(normals({c.hidden}, dtype, 8)),
          dw2(normals({c.heads, c.hidden}, dtype, 9)),
          ceiling(c.ceiling),
          to_distances(c.to_distances) {}

    BiasNetwork network() const { return {x, w1, b1, w2, ceiling}; }
    void forward() {
        bias_network_forward({network(), y});
        wait_for(OnDevice::current());
    }
    void backward() {
        bias_network_backward({network(), y, dy, {to_distances ? dx.tensor() : Tensor(), dw1, db1, dw2}});
        wait_for(OnDevice::current());
    }

    Owned x, w1, b1, w2, y, dy, dx, dw1, db1, dw2;
    double ceiling;
    bool to_distances;
};

class BiasNetworkOf : public ::testing::TestWithParam<Case> {};

TEST_P(BiasNetworkOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const auto solved = [] {
        Problem problem(GetParam(), DType::float32);
        problem.forward();
        problem.backward();
        return problem;
    };
    const Problem expected = solved();
    on_each_gpu([&] {
        const Problem got = solved();
        EXPECT_TRUE(close("y", got.y, expected.y, 0.0, 2e-6));
        EXPECT_TRUE(close("dx", got.dx, expected.dx, 0.0, 1e-5));
        EXPECT_TRUE(close("dw1", got.dw1, expected.dw1, 0.0, 1e-5));
        EXPECT_TRUE(close("db1", got.db1, expected.db1, 0.0, 1e-5));
        EXPECT_TRUE(close("dw2", got.dw2, expected.dw2, 0.0, 1e-5));
    });
}

INSTANTIATE_TEST_SUITE_P(Shapes, BiasNetworkOf,
                         ::testing::Values(Case{1, 1, 1, 0, true}, Case{7, 5, 3, 0, true}, Case{7, 5, 3, 16, true},
                                           Case{511, 33, 2, 4, false}, Case{300, 70, 4, 0, true}));

TEST(BiasNetwork, BackwardMatchesCentralDifferencesInFloat64) {
    for (const double ceiling : {0.0, 4.0}) {
        Problem problem({9, 6, 3, ceiling, true}, DType::float64);
        for (Owned* gradient : {&problem.dx, &problem.dw1, &problem.db1, &problem.dw2})
            *gradient = zeros(gradient->shape(), DType::float64);
        problem.forward();
        problem.backward();
        Problem moved = problem;
        GradientCheck check([&] {
            moved.forward();
            return dot(moved.dy, moved.y);
        });
        check.input("x", moved.x, problem.dx)
            .input("w1", moved.w1, problem.dw1)
            .input("b1", moved.b1, problem.db1)
            .input("w2", moved.w2, problem.dw2);
        EXPECT_TRUE(check.tolerance(1e-6).step(1e-5).run());  // small steps: no unit may cross its corner
    }
}

TEST(BiasNetwork, BrokenContractsAreNamed) {
    Problem problem({9, 6, 3, 0, true}, DType::float32);
    problem.b1 = zeros({5}, DType::float32);
    EXPECT_THROW(problem.forward(), std::logic_error);
    Problem other({9, 6, 3, 0, true}, DType::float32);
    other.dw2 = zeros({6, 3}, DType::float32);
    EXPECT_THROW(other.backward(), std::logic_error);
}

}  // namespace
}  // namespace locus::test
