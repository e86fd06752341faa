#include "kernels/embedding.h"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

// ids with repeats, gaps and both ends of the table
Owned some_ids(std::int64_t rows, std::int32_t entries) {
    Owned ids({rows}, DType::int32);
    for (std::int64_t r = 0; r < rows; ++r) ids.set(r, static_cast<double>((r * r * 7 + r / 3) % entries));
    ids.set(0, static_cast<double>(entries - 1));
    return ids;
}

struct Case {
    std::int64_t rows, columns;
    std::int32_t entries;
    bool weighted;
};
class EmbeddingOf : public ::testing::TestWithParam<Case> {};

TEST_P(EmbeddingOf, ForwardFollowsTheFormula) {
    const auto [rows, columns, entries, weighted] = GetParam();
    for (DType dtype : {DType::float32, DType::float64}) {
        for (bool accumulate : {false, true}) {
            const Owned table = normals({entries, columns}, dtype, 1), ids = some_ids(rows, entries);
            const Owned weights = normals({rows}, DType::float64, 2);
            Owned y = normals({rows, columns}, dtype, 3), expected = converted(y, DType::float64);
            for (std::int64_t i = 0; i < y.count(); ++i) {
                const std::int64_t row = i / columns;
                const double value = table.get(static_cast<std::int64_t>(ids.get(row)), i % columns);
                expected.set(i, (accumulate ? y.get(i) : 0.0) + (weighted ? weights.get(row) : 1.0) * value);
            }
            embedding_forward({table, ids, y, weighted ? weights.tensor() : Tensor(), accumulate});
            EXPECT_TRUE(close("y", y, expected, 0.0, dtype == DType::float32 ? 2e-7 : 1e-15));
        }
    }
}

TEST_P(EmbeddingOf, BackwardAddsUpTheRowsOfEachEntry) {
    const auto [rows, columns, entries, weighted] = GetParam();
    for (DType dtype : {DType::float32, DType::float64}) {
        for (int skip : {-1, entries - 1}) {
            Arena arena;
            const Owned dy = normals({rows, columns}, dtype, 1), ids = some_ids(rows, entries);
            const Owned weights = normals({rows}, DType::float64, 2);
            Owned dtable = normals({entries, columns}, dtype, 3), expected = converted(dtable, DType::float64);
            for (std::int64_t i = 0; i < dy.count(); ++i) {
                const auto entry = static_cast<std::int64_t>(ids.get(i / columns));
                if (entry == skip) continue;
                const std::int64_t at = entry * columns + i % columns;
                expected.set(at, expected.get(at) + (weighted ? weights.get(i / columns) : 1.0) * dy.get(i));
            }
            embedding_backward({dy, ids, weighted ? weights.tensor() : Tensor(), dtable, skip, &arena});
            EXPECT_TRUE(close("dtable", dtable, expected, 0.0, dtype == DType::float32 ? 2e-6 : 1e-13));
            EXPECT_EQ(arena.used(), 0U);
        }
    }
}

// What a forward and a backward pass write on the device of the hour.
struct Solved {
    Owned y, dtable;
};

Solved solved(const Case& c, bool accumulate, int skip_entry) {
    Arena arena(OnDevice::current());
    const Owned table = normals({c.entries, c.columns}, DType::float32, 1), ids = some_ids(c.rows, c.entries);
    const Owned weights = normals({c.rows}, DType::float64, 2), dy = normals({c.rows, c.columns}, DType::float32, 3);
    const Tensor weights_or_none = c.weighted ? weights.tensor() : Tensor();
    Solved result = {normals({c.rows, c.columns}, DType::float32, 4),
                     normals({c.entries, c.columns}, DType::float32, 5)};
    embedding_forward({table, ids, result.y, weights_or_none, accumulate});
    embedding_backward({dy, ids, weights_or_none, result.dtable, skip_entry, &arena});
    wait_for(OnDevice::current());
    EXPECT_EQ(arena.used(), 0U);
    return result;
}

TEST_P(EmbeddingOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    for (const bool flag : {false, true}) {
        const int skip_entry = flag ? GetParam().entries - 1 : -1;
        const Solved expected = solved(GetParam(), flag, skip_entry);
        on_each_gpu([&] {
            const Solved got = solved(GetParam(), flag, skip_entry);
            EXPECT_TRUE(close("y", got.y, expected.y, 0.0, 2e-7));
            EXPECT_TRUE(close("dtable", got.dtable, expected.dtable, 0.0, 2e-6));
        });
    }
}

// 70000 entries: ids of three digits in the sort of a GPU
INSTANTIATE_TEST_SUITE_P(Shapes, EmbeddingOf,
                         ::testing::Values(Case{1, 1, 1, false}, Case{17, 3, 5, true}, Case{100, 300, 2, false},
                                           Case{100, 17, 1000, true}, Case{3, 129, 3, false}, Case{1000, 3, 2, true},
                                           Case{700, 33, 600, true}, Case{300, 2, 70000, true}, Case{30, 64, 40, true},
                                           Case{1500, 72, 3, true}));

// The gradient of a table of `entries` for rows of ones: how many rows each entry has.
Owned counted(const std::vector<std::int32_t>& ids, std::int32_t entries, std::int64_t columns) {
    Arena arena(OnDevice::current());
    const Owned dy = filled({static_cast<std::int64_t>(ids.size()), columns}, DType::float32, 1.0);
    Owned dtable = zeros({entries, columns}, DType::float32);
    embedding_backward({dy, int32s(ids), {}, dtable, -1, &arena});
    wait_for(OnDevice::current());
    return dtable;
}

TEST(Embedding, OnAGpuEntriesMayHaveAnyNumberOfRows) {
    // 32 rows are a chunk of the sum: segments that end just before, at and just after its end, and that go through whole ones.
    for (const std::vector<int>& lengths : {std::vector<int>{32, 64, 31, 1, 33, 96, 5},
                                            {1, 31, 32},
                                            {257, 255, 256},
                                            {31, 2, 31},
                                            {0, 500, 0},
                                            {20, 1600, 7}}) {
        std::vector<std::int32_t> ids;
        for (std::size_t entry = 0; entry < lengths.size(); ++entry)
            ids.insert(ids.end(), static_cast<std::size_t>(lengths[entry]), static_cast<std::int32_t>(entry));
        const auto entries = static_cast<std::int32_t>(lengths.size());
        for (const std::int64_t columns : {2, 8}) {
            const Owned expected = counted(ids, entries, columns);
            on_each_gpu([&] { EXPECT_TRUE(identical("dtable", counted(ids, entries, columns), expected)); });
        }
    }
}

TEST(Embedding, OnAGpuTheRowsOfAnEntryAreSummedInTheirOrder) {
    // Sums of 16 numbers of very different size: another order gives other bits.
    const auto gradient = [](std::int64_t columns) {
        Arena arena(OnDevice::current());
        Owned dy = normals({32, columns}, DType::float32, 1), ids({32}, DType::int32);
        for (std::int64_t i = 0; i < dy.count(); ++i) dy.set(i, std::pow(10.0, i / columns * 5 % 8) * dy.get(i));
        for (std::int64_t r = 0; r < 32; ++r) ids.set(r, r * 7 % 4 < 2 ? 300.0 : 3.0);
        Owned dtable = zeros({400, columns}, DType::float32);
        embedding_backward({dy, ids, {}, dtable, -1, &arena});
        wait_for(OnDevice::current());
        return dtable;
    };
    for (const std::int64_t columns : {50, 48}) {
        const Owned expected = gradient(columns);
        on_each_gpu([&] { EXPECT_TRUE(identical("dtable", gradient(columns), expected)); });
    }
}

TEST(Embedding, OnAGpuManyRowsOfASkippedEntryAreWrittenNowhere) {
    on_each_gpu([] {
        Arena arena(OnDevice::current());
        Owned whole = normals({3, 4}, DType::float32, 1), ids({200}, DType::int32);  // the table and a row behind it
        for (std::int64_t r = 0; r < 200; ++r) ids.set(r, static_cast<double>(r % 2));
        const Owned dy = filled({200, 4}, DType::float32, 1.0), before = whole;
        const Owned other({2, 4}, DType::float32);
        embedding_backward({dy, ids, {}, other, -1, &arena});  // leaves sums in the arena that are nobody's now
        embedding_backward({dy, ids, {}, whole.tensor().slice(0, 0, 2), 1, &arena});
        wait_for(OnDevice::current());
        for (std::int64_t c = 0; c < 4; ++c) EXPECT_NEAR(whole.get(0, c), before.get(0, c) + 100.0, 1e-4);
        for (std::int64_t i = 4; i < 12; ++i) EXPECT_EQ(whole.get(i), before.get(i)) << i;
    });
}

TEST(Embedding, OnAGpuAnIdOutsideTheTableIsReportedAndItsRowSkipped) {
    on_each_gpu([] {
        for (const std::int32_t bad : {-1, 10, 1000000000, -2147483647}) {
            Arena arena(OnDevice::current());
            const Owned table = normals({10, 4}, DType::float32, 1), ids = int32s({9, bad, 9});
            const Owned dy = filled({3, 4}, DType::float32, 1.0);
            Owned y({3, 4}, DType::float32), dtable = zeros({10, 4}, DType::float32);
            embedding_forward({table, ids, y});
            EXPECT_THROW(wait_for(OnDevice::current()), std::out_of_range) << bad;
            embedding_backward({dy, ids, {}, dtable, -1, &arena});
            EXPECT_THROW(wait_for(OnDevice::current()), std::out_of_range) << bad;
            EXPECT_NO_THROW(wait_for(OnDevice::current()));
            for (std::int64_t i = 0; i < 40; ++i) EXPECT_EQ(dtable.get(i), i < 36 ? 0.0 : 2.0) << i;
            for (std::int64_t c = 0; c < 4; ++c) EXPECT_EQ(y.get(2, c), table.get(9, c));
        }
    });
}

TEST(Embedding, BackwardMatchesCentralDifferencesInFloat64) {
    Arena arena;
    Owned table = normals({6, 5}, DType::float64, 1), y({9, 5}, DType::float64);
    const Owned ids = some_ids(9, 6), weights = normals({9}, DType::float64, 2),
                dy = normals({9, 5}, DType::float64, 3);
    Owned dtable = zeros({6, 5}, DType::float64);
    embedding_backward({dy, ids, weights, dtable, -1, &arena});
    GradientCheck check([&] {
        embedding_forward({table, ids, y, weights});
        return dot(dy, y);
    });
    EXPECT_TRUE(check.input("table", table, dtable).run());
}

TEST(Embedding, AnIdOutsideTheTableIsNamedAndNothingIsWritten) {
    Arena arena;
    const Owned table = normals({10, 4}, DType::float32, 1);
    for (std::int32_t bad : {-1, 10, 1000000000}) {
        const Owned ids = int32s({1, 2, bad});
        Owned y = normals({3, 4}, DType::float32, 2), dtable = normals({10, 4}, DType::float32, 3);
        const Owned y_before = y, dtable_before = dtable;
        try {
            embedding_forward({table, ids, y});
            FAIL() << "accepted " << bad;
        } catch (const std::out_of_range& error) {
            EXPECT_EQ(std::string(error.what()),
                      "[embedding] id " + std::to_string(bad) + " in row 2 is outside [0, 10)");
        }
        EXPECT_THROW(embedding_backward({y, ids, {}, dtable, -1, &arena}), std::out_of_range);
        EXPECT_TRUE(identical("y", y, y_before));
        EXPECT_TRUE(identical("dtable", dtable, dtable_before));
        EXPECT_EQ(arena.used(), 0U);
    }
}

TEST(Embedding, BitsDoNotDependOnTheNumberOfThreads) {
    Arena arena;
    const Owned dy = normals({500, 150}, DType::float32, 1), ids = some_ids(500, 40);
    Owned first;
    for (int threads : {1, 2, 3}) {
        const Threads guard(threads);
        Owned dtable = zeros({40, 150}, DType::float32);
        embedding_backward({dy, ids, {}, dtable, -1, &arena});
        if (threads == 1) first = dtable;
        EXPECT_TRUE(identical("dtable", dtable, first));
    }
}

TEST(Embedding, OverwritesWhateverIsInY) {
    const Owned table = normals({4, 3}, DType::float32, 1), ids = int32s({2});
    Owned y = filled({1, 3}, DType::float32, std::numeric_limits<double>::quiet_NaN());
    embedding_forward({table, ids, y});
    for (std::int64_t c = 0; c < 3; ++c) EXPECT_EQ(y.get(c), table.get(2, c));
}

TEST(Embedding, OfNoRowsDoesNothing) {
    const auto nothing = [] {
        Arena arena(OnDevice::current());
        const Owned table = normals({4, 3}, DType::float32, 1), none({0, 3}, DType::float32), ids = counting(0);
        Owned dtable = table;
        embedding_forward({table, ids, none});
        embedding_backward({none, ids, {}, dtable, -1, &arena});
        wait_for(OnDevice::current());
        EXPECT_TRUE(identical("dtable", dtable, table));
    };
    nothing();
    on_each_gpu(nothing);
}

TEST(Embedding, BrokenContractsAreNamed) {
    Arena arena;
    const Owned table = normals({4, 3}, DType::float32, 1), y({2, 5}, DType::float32), ids = int32s({1, 2});
    EXPECT_THROW(embedding_forward({table, ids, y}), std::logic_error);
    const Owned fits({2, 3}, DType::float32);
    EXPECT_THROW(embedding_backward({fits, ids, {}, table, -1, nullptr}), std::logic_error);
    EXPECT_THROW(embedding_backward({fits, int32s({1}), {}, table, -1, &arena}), std::logic_error);
    on_each_gpu([&] {
        const Owned there({2, 3}, DType::float32), ids_there = int32s({1, 2}), table_there({4, 3}, DType::float32);
        EXPECT_THROW(embedding_forward({table_there, ids, there}), std::logic_error);
        EXPECT_THROW(embedding_backward({there, ids_there, {}, table_there, -1, &arena}), std::logic_error);
    });
    EXPECT_THROW(embedding_forward({table, ids, fits, normals({2}, DType::float32, 1)}), std::logic_error);
}

}  // namespace
}  // namespace locus::test
