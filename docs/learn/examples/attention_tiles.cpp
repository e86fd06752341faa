// Attention without the matrix of all pairs: a softmax that goes from tile to tile, and a tile's band of distances.
// Chapter: docs/learn/07-attention-in-tiles.md

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "docs/learn/examples/values.h"

namespace locus::learn {
namespace {

constexpr std::size_t tile = 4, dim = 2, band_rows = 2 * tile - 1;

// ---- one query: what it knows after each tile of keys ----

struct RunningSoftmax {
    double maximum = -INFINITY, sum = 0, out = 0;  // out: sum of exp(s - maximum) v

    void see(const Values& scores, const Values& value, std::size_t begin, std::size_t end) {
        double now = maximum;
        for (std::size_t j = begin; j < end; ++j) now = std::max(now, scores[j]);
        const double correction = std::exp(maximum - now);  // exp(-inf) = 0: the first tile finds nothing to correct
        maximum = now;
        sum *= correction;
        out *= correction;
        for (std::size_t j = begin; j < end; ++j) {
            const double p = std::exp(scores[j] - maximum);
            sum += p;
            out += p * value[j];
        }
    }
};

void show_running_softmax() {
    const Values scores = {1, 3, 2, 0, 5, 1, 4, 2}, value = {1, 2, 3, 4, 5, 6, 7, 8};
    fmt::print("1. One query, eight keys in two tiles\n");
    RunningSoftmax running, whole;
    for (std::size_t begin = 0; begin < scores.size(); begin += tile) {
        running.see(scores, value, begin, begin + tile);
        fmt::print("   keys {} to {}   maximum {:.0f}   sum {:.4f}   out / sum {:.4f}\n", begin, begin + tile - 1,
                   running.maximum, running.sum, running.out / running.sum);
    }
    whole.see(scores, value, 0, scores.size());
    fmt::print("   all at once    maximum {:.0f}   sum {:.4f}   out / sum {:.4f}\n", whole.maximum, whole.sum,
               whole.out / whole.sum);
}

// ---- a tile: queries 6 to 9, keys 2 to 5, and the table's rows for the distances 1 to 7 that they see ----

// Rows of x times rows of y.
Values products(const Values& x, const Values& y) {
    const std::size_t rows = x.size() / dim, columns = y.size() / dim;
    Values result(rows * columns);
    for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t r = 0; r < columns; ++r)
            for (std::size_t c = 0; c < dim; ++c) result[i * columns + r] += x[i * dim + c] * y[r * dim + c];
    return result;
}

// The row of the band for query i and key j of the tile: their distance, counted from the smallest that the tile sees.
std::size_t row_of_pair(std::size_t i, std::size_t j) { return i + tile - 1 - j; }

void print_rows(const char* name, const Values& x, std::size_t columns) {
    fmt::print("   {}\n", name);
    for (std::size_t n = 0; n < x.size(); ++n)
        fmt::print("{}{:6.2f}{}", n % columns == 0 ? "     " : " ", x[n], n % columns + 1 == columns ? "\n" : "");
}

// Each pair takes its number from the product with the band.
Values picked(const Values& by_distance) {
    Values scores(tile * tile);
    for (std::size_t i = 0; i < tile; ++i)
        for (std::size_t j = 0; j < tile; ++j) scores[i * tile + j] = by_distance[i * band_rows + row_of_pair(i, j)];
    return scores;
}

// The way back: each pair's dS to the place that its score came from.
Values spread(const Values& ds) {
    Values by_distance(tile * band_rows);
    for (std::size_t i = 0; i < tile; ++i)
        for (std::size_t j = 0; j < tile; ++j) by_distance[i * band_rows + row_of_pair(i, j)] = ds[i * tile + j];
    return by_distance;
}

Values table_gradient_by_pairs(const Values& ds, const Values& q) {
    Values gradient(band_rows * dim);
    for (std::size_t i = 0; i < tile; ++i)
        for (std::size_t j = 0; j < tile; ++j)
            for (std::size_t c = 0; c < dim; ++c)
                gradient[row_of_pair(i, j) * dim + c] += ds[i * tile + j] * q[i * dim + c];
    return gradient;
}

Values table_gradient_by_product(const Values& spread_ds, const Values& q) {
    Values gradient(band_rows * dim);
    for (std::size_t r = 0; r < band_rows; ++r)
        for (std::size_t i = 0; i < tile; ++i)
            for (std::size_t c = 0; c < dim; ++c)
                gradient[r * dim + c] += spread_ds[i * band_rows + r] * q[i * dim + c];
    return gradient;
}

void show_band() {
    const Values q = {1, 0, 0, 1, 1, 1, -1, 0};
    const Values band = {0.1, 1, 0.2, 2, 0.3, 3, 0.4, 4, 0.5, 5, 0.6, 6, 0.7, 7};
    const Values ds = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    fmt::print("2. A tile of 4 queries and 4 keys, and the 7 distances that it sees\n");
    const Values by_distance = products(q, band);
    print_rows("q . K[distance], distances 1 to 7", by_distance, band_rows);
    print_rows("what each pair picks: query i, key j", picked(by_distance), tile);
    fmt::print("3. The way back\n");
    print_rows("dS", ds, tile);
    print_rows("dS spread by distance", spread(ds), band_rows);
    print_rows("dK[distance] = spread^T q, a row per distance", table_gradient_by_product(spread(ds), q), dim);
    fmt::print("   pair by pair: {}\n",
               largest_difference(table_gradient_by_product(spread(ds), q), table_gradient_by_pairs(ds, q)) == 0
                   ? "the same"
                   : "DIFFERENT");
}

// ---- what it costs, for a sequence, a head and DeBERTa's two tables ----

void show_cost() {
    fmt::print("4. Numbers that the backward pass needs besides q, k, v and out\n");
    fmt::print("   tokens     scores   scores and products with 2 tables   one per query\n");
    for (const std::int64_t tokens : {512, 2048, 16384}) {
        const std::int64_t pairs = tokens * tokens, with_a_table = 2 * tokens * tokens;
        fmt::print("   {:6} {:10} {:35} {:15}\n", tokens, pairs, pairs + 2 * with_a_table, tokens);
    }
    fmt::print("   Distances per key of a tile, 64 keys wide:\n");
    constexpr std::int64_t keys = 64;
    for (const std::int64_t queries : {64, 16})
        fmt::print("   {} queries {:.2f}\n", queries, static_cast<double>(queries + keys) / keys);
}

}  // namespace
}  // namespace locus::learn

int main() {
    locus::learn::show_running_softmax();
    locus::learn::show_band();
    locus::learn::show_cost();
}
