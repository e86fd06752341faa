// A "relative" encoding as it circulates in notes, made again with its mistakes, and the checks that tell: an encoding of relative positions has
// a vector for each pair (i, j) that depends on i - j alone; and it cannot be added to embeddings, which have one row per token.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "model/autograd/operations.h"
#include "model/autograd/tape.h"

namespace locus {
namespace {

using PairTable = std::vector<std::vector<std::vector<double>>>;  // [i][j][channel]

double wave(double position, std::size_t channel, std::size_t channels) {
    const double frequency = std::pow(10000.0, -2.0 * static_cast<double>(channel / 2) / static_cast<double>(channels));
    return channel % 2 == 0 ? std::sin(position * frequency) : std::cos(position * frequency);
}

// The mistake: a table with room for pairs, filled from a list of positions that the first axis does not take part in. Every i gets the
// absolute waves of j.
PairTable broken_table(std::size_t length, std::size_t channels) {
    PairTable table(length, {length, std::vector<double>(channels)});
    for (std::size_t i = 0; i < length; ++i) {
        for (std::size_t j = 0; j < length; ++j) {
            for (std::size_t c = 0; c < channels; ++c) table[i][j][c] = wave(static_cast<double>(j), c, channels);
        }
    }
    return table;
}

PairTable right_table(std::size_t length, std::size_t channels) {
    PairTable table = broken_table(length, channels);
    for (std::size_t i = 0; i < length; ++i) {
        for (std::size_t j = 0; j < length; ++j) {
            const double distance = static_cast<double>(i) - static_cast<double>(j);
            for (std::size_t c = 0; c < channels; ++c) table[i][j][c] = wave(distance, c, channels);
        }
    }
    return table;
}

// Largest change of an entry when both positions move on by one.
double dependence_on_the_place(const PairTable& table) {
    double largest = 0;
    for (std::size_t i = 0; i + 1 < table.size(); ++i) {
        for (std::size_t j = 0; j + 1 < table.size(); ++j) {
            for (std::size_t c = 0; c < table[i][j].size(); ++c)
                largest = std::max(largest, std::abs(table[i + 1][j + 1][c] - table[i][j][c]));
        }
    }
    return largest;
}

// Largest difference between what two queries see of one key.
double dependence_on_the_query(const PairTable& table) {
    double largest = 0;
    for (std::size_t i = 1; i < table.size(); ++i) {
        for (std::size_t j = 0; j < table.size(); ++j) {
            for (std::size_t c = 0; c < table[i][j].size(); ++c)
                largest = std::max(largest, std::abs(table[i][j][c] - table[0][j][c]));
        }
    }
    return largest;
}

TEST(BrokenRelativeEncoding, DependsOnThePlaceAndNotOnTheDistance) {
    EXPECT_GT(dependence_on_the_place(broken_table(7, 6)), 0.5);
    EXPECT_EQ(dependence_on_the_query(broken_table(7, 6)), 0.0);
    EXPECT_EQ(dependence_on_the_place(right_table(7, 6)), 0.0);
    EXPECT_GT(dependence_on_the_query(right_table(7, 6)), 0.5);
}

// Broadcasting lets [n, n, d] + [B, n, d] pass for B = 1 and for B = n, with an unintended meaning each time. Here shapes have to agree.
TEST(BrokenRelativeEncoding, CannotBeAddedToEmbeddings) {
    Arena arena;
    Tape tape(arena);
    const std::int64_t length = 4, channels = 6;
    const Var pairs = tape.constant(tape.allocate({length * length, channels}, DType::float64));
    const Var tokens = tape.constant(tape.allocate({length, channels}, DType::float64));
    EXPECT_THROW(add(tape, tokens, pairs), std::logic_error);
}

}  // namespace
}  // namespace locus
