#include "kernels/copy_columns.h"

#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

TEST(CopyColumns, CopiesOrAddsBetweenColumnsOfWiderMatrices) {
    for (DType dtype : {DType::float32, DType::float64}) {
        const Owned from = normals({5, 40}, dtype, 1);
        Owned to = normals({5, 30}, dtype, 2);
        const Owned before = to;
        const Tensor x = from.tensor().slice(1, 7, 27), y = to.tensor().slice(1, 9, 29);
        copy_columns({.x = x, .y = y});
        for (std::int64_t r = 0; r < 5; ++r) {
            for (std::int64_t c = 0; c < 20; ++c) EXPECT_EQ(to.get(r, 9 + c), from.get(r, 7 + c));
            for (const std::int64_t c : {0, 8, 29}) EXPECT_EQ(to.get(r, c), before.get(r, c));
        }
        copy_columns({.x = x, .y = y, .accumulate = true});
        EXPECT_EQ(to.get(4, 28), 2 * from.get(4, 26));
    }
}

TEST(CopyColumns, BrokenContractsAreNamed) {
    const Owned x = normals({4, 6}, DType::float32, 1);
    EXPECT_THROW(copy_columns({.x = x, .y = normals({4, 5}, DType::float32, 1)}), std::logic_error);
    EXPECT_THROW(copy_columns({.x = x, .y = normals({4, 6}, DType::float64, 1)}), std::logic_error);
}

}  // namespace
}  // namespace locus::test
