#include "kernels/tanh.h"

#include <cmath>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

TEST(Tanh, EqualsLibmAndSaturates) {
    for (DType dtype : {DType::float32, DType::float64}) {
        Owned x = normals({7, 11}, dtype, 1, 3.0), y({7, 11}, dtype), expected({7, 11}, dtype);
        x.set(0, 60.0);
        x.set(1, -60.0);
        for (std::int64_t n = 0; n < x.count(); ++n) expected.set(n, std::tanh(x.get(n)));
        tanh_forward({.x = x, .y = y});
        EXPECT_TRUE(close("y", y, expected, dtype == DType::float32 ? 3e-7 : 1e-15, 0.0));
        EXPECT_EQ(y.get(0), 1.0);
        EXPECT_EQ(y.get(1), -1.0);
    }
}

TEST(Tanh, BackwardMatchesDifferences) {
    Owned x = normals({3, 5}, DType::float64, 1);
    const Owned dy = normals({3, 5}, DType::float64, 2);
    Owned y({3, 5}, DType::float64), dx({3, 5}, DType::float64);
    tanh_forward({.x = x, .y = y});
    tanh_backward({.dy = dy, .y = y, .dx = dx});
    GradientCheck check([&] {
        tanh_forward({.x = x, .y = y});
        return dot(dy, y);
    });
    check.input("x", x, dx);
    EXPECT_TRUE(check.run());
}

TEST(Tanh, GivesOnAGpuWhatItGivesOnTheProcessor) {
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        const double tolerance = dtype == DType::float32 ? 5e-7 : 4e-3;
        const Shape shape = {7, 51};
        const Owned x = converted(normals(shape, dtype, 1, 3.0), DType::float32);
        const Owned saved = converted(filled(shape, dtype, 0.7), DType::float32);
        const Owned dy = converted(normals(shape, dtype, 2), DType::float32);
        Owned y(shape, DType::float32), dx(shape, DType::float32);
        tanh_forward({.x = x, .y = y});
        tanh_backward({.dy = dy, .y = saved, .dx = dx});
        on_each_gpu([&] {
            Owned got(shape, dtype), inside = normals(shape, dtype, 2);
            tanh_forward({.x = normals(shape, dtype, 1, 3.0), .y = got});
            tanh_backward({.dy = inside, .y = filled(shape, dtype, 0.7), .dx = inside});
            EXPECT_TRUE(close("y", got, y, tolerance, 0.0));
            EXPECT_TRUE(close("dx", inside, dx, 0.0, tolerance));
        });
    }
}

TEST(Tanh, LetsNaNThrough) {
    Owned x = zeros({1, 3}, DType::float32), y({1, 3}, DType::float32);
    x.set(1, NAN);
    tanh_forward({.x = x, .y = y});
    EXPECT_TRUE(std::isnan(y.get(1)));
    EXPECT_EQ(y.get(2), 0.0);
}

}  // namespace
}  // namespace locus::test
