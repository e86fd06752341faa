#pragma once
// Attention problems for tests and benchmarks: described in a few words, filled with seeded numbers, the same for float and double.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/attention.h"
#include "kernels/gpu_memory.h"
#include "kernels/random.h"

namespace locus::test {

enum class Positions {
    run_on,        // queries and keys at 0, 1, 2, ...
    subset,        // queries are some of the rows, keys run on
    scattered,     // rising with random gaps
    far_queries,   // both run on, queries far behind the keys
    mixed,         // every other sequence is scattered, the others run on
    mixed_subset,  // both
};

struct AttentionSetup {
    std::string name;
    std::vector<int> k_lengths = {5, 3};
    std::int64_t heads = 2, head_dim = 4;
    bool key_table = false, query_table = false, value_table = false, shared_tables = false;
    bool content_bias = false, position_bias = false;
    int biases = 0;
    int channels = 0;  // lists of further channels
    std::array<std::int64_t, max_attention_channels> channel_counts = {3, 1, 2};
    int reach = 3;  // of tables and of the first bias; clamps beyond
    int buckets =
        0;  // of tables, to each side: half of them for near distances, the others for ever more; 0: rows in no simple order
    std::int64_t window = 0;
    float dropout = 0.0F;
    Positions positions = Positions::run_on;
    bool fused_product = false;  // q, k, value as columns of one product
    bool accumulate = false;
    double scale = 0.6;
    bool sequence_scale = false;  // a factor of each sequence's own
    bool knows_longest = false;   // AttentionRows::longest is given
    int without_queries = -1;     // a sequence that has none
};

/// Every kind of term, few rows.
inline AttentionSetup small_everything(const char* name) {
    AttentionSetup setup;
    setup.name = name;
    setup.key_table = setup.query_table = setup.value_table = setup.content_bias = setup.position_bias = true;
    setup.biases = 2;
    setup.channels = 2;
    setup.dropout = 0.3F;
    return setup;
}

/// Tensors that own their memory, on a device but within the processor's reach, and the arguments of both passes over them.
template <class T>
class AttentionProblem {
public:
    explicit AttentionProblem(const AttentionSetup& setup, Device device = Device::cpu)
        : arena(device), setup_(setup), device_(device) {
        make_rows();
        make_inputs();
        make_terms();
        make_outputs();
    }

    AttentionForward forward;
    AttentionBackward backward;
    Arena arena;

    /// Names and tensors of everything that a loss has a gradient for, with that gradient.
    std::vector<std::pair<std::string, std::pair<Tensor, Tensor>>> differentiable() const {
        const AttentionTerms& t = forward.terms;
        const AttentionTermGradients& d = backward.dterms;
        std::vector<std::pair<std::string, std::pair<Tensor, Tensor>>> all = {
            {"q", {forward.q, backward.dq}},
            {"k", {forward.k, backward.dk}},
            {"value", {forward.value, backward.dvalue}},
            {"key_table", {t.key_table.rows, d.key_table}},
            {"query_table", {t.query_table.rows, d.query_table}},
            {"value_table", {t.value_table.rows, d.value_table}},
            {"content_bias", {t.content_bias, d.content_bias}},
            {"position_bias", {t.position_bias, d.position_bias}},
        };
        for (std::size_t n = 0; n < t.biases.size(); ++n)
            all.push_back({"bias " + std::to_string(n), {t.biases[n], d.biases[n]}});
        for (std::size_t n = 0; n < t.channels.size(); ++n) {
            all.push_back({"query channels " + std::to_string(n), {t.channels[n].query, d.channels[n].query}});
            all.push_back({"key channels " + std::to_string(n), {t.channels[n].key, d.channels[n].key}});
        }
        std::erase_if(all, [](const auto& one) { return !one.second.first; });
        return all;
    }

    Tensor tensor(Shape shape, double low, double high) {
        std::vector<T> values(static_cast<std::size_t>(shape.count() + 1));
        for (T& x : values) x = static_cast<T>(static_cast<float>(low + (high - low) * uniform(next())));
        return Tensor(copy_of(values), shape, dtype_of<T>(), device_);
    }

private:
    std::uint32_t next() {
        const std::uint32_t n = drawn_++;
        return philox({17, 99}, {n / 4, 0, 0, 0})[n % 4];
    }

    // At least one number.
    template <class Number>
    Number* copy_of(const std::vector<Number>& values) {
        const std::size_t bytes = values.size() * sizeof(Number);
        if (device_ == Device::cpu) {
            memory_.emplace_back(::operator new(bytes), [](void* x) { ::operator delete(x); });
        } else {
            const DeviceFunctions& functions = functions_of(device_);
            memory_.emplace_back(functions.allocate_shared(bytes), functions.release);
        }
        std::memcpy(memory_.back().get(), values.data(), bytes);
        return static_cast<Number*>(memory_.back().get());
    }

    Tensor integers(const std::vector<int>& values) {
        std::vector<std::int32_t> numbers(values.begin(), values.end());
        numbers.push_back(0);
        return Tensor(copy_of(numbers), {static_cast<std::int64_t>(values.size())}, DType::int32, device_);
    }

    void make_rows() {
        std::vector<int> q_offsets = {0}, k_offsets = {0}, q_positions, k_positions, sequence, row;
        const Positions kind = setup_.positions;
        const bool mixed = kind == Positions::mixed || kind == Positions::mixed_subset,
                   subset = kind == Positions::subset || kind == Positions::mixed_subset;
        for (std::size_t s = 0; s < setup_.k_lengths.size(); ++s) {
            const int length = setup_.k_lengths[s];
            const bool scattered = kind == Positions::scattered || (mixed && s % 2 == 1);
            for (int j = 0, p = 0; j < length; ++j) {
                if (scattered) p += static_cast<int>(below(next(), 7));
                const bool queried =
                    static_cast<int>(s) != setup_.without_queries && (!subset || below(next(), 4) == 0);
                k_positions.push_back(scattered ? p : j);
                if (!queried) continue;
                q_positions.push_back(k_positions.back() + (kind == Positions::far_queries ? 1000 : 0));
                sequence.push_back(static_cast<int>(s) + 3);
                row.push_back(j);
            }
            q_offsets.push_back(static_cast<int>(q_positions.size()));
            k_offsets.push_back(static_cast<int>(k_positions.size()));
        }
        forward.q_rows = {integers(q_offsets), integers(q_positions)};
        forward.k_rows = {integers(k_offsets), integers(k_positions)};
        if (setup_.knows_longest)
            for (const int length : setup_.k_lengths)
                for (AttentionRows* rows : {&forward.q_rows, &forward.k_rows})
                    rows->longest = std::max<std::int64_t>(rows->longest, length);
        forward.dropout = {setup_.dropout, 5, stream_dropout + 2, 11};
        forward.dropout_rows = {integers(sequence), integers(row)};
        q_rows_ = static_cast<std::int64_t>(q_positions.size());
        k_rows_ = static_cast<std::int64_t>(k_positions.size());
    }

    void make_inputs() {
        const std::int64_t heads = setup_.heads, head_dim = setup_.head_dim;
        if (setup_.fused_product) {
            const Tensor product = tensor({k_rows_, 3 * heads, head_dim}, -1, 1);
            forward.q = product.slice(1, 0, heads).slice(0, 0, q_rows_);
            forward.k = product.slice(1, heads, 2 * heads);
            forward.value = product.slice(1, 2 * heads, 3 * heads);
        } else {
            forward.q = tensor({q_rows_, heads, head_dim}, -1, 1);
            forward.k = tensor({k_rows_, heads, head_dim}, -1, 1);
            forward.value = tensor({k_rows_, heads, head_dim}, -1, 1);
        }
    }

    // As in DeBERTa: a row for each of the near distances, then rows for as many distances more as their logarithms say.
    int bucket(int r) const {
        const int near = setup_.buckets / 2, distance = std::abs(r);
        if (distance <= near) return r;
        const int far = near + static_cast<int>(std::ceil(2 * std::log2(static_cast<double>(distance) / near)));
        return (r > 0 ? 1 : -1) * std::min(far, setup_.buckets - 1);
    }

    RelativeTable table_of_buckets() {
        std::vector<int> rows;
        for (int r = -setup_.reach; r <= setup_.reach; ++r) rows.push_back(bucket(r) + setup_.buckets);
        return {tensor({setup_.shared_tables ? 1 : setup_.heads, 2 * setup_.buckets, setup_.head_dim}, -1, 1),
                integers(rows)};
    }

    RelativeTable table() {
        if (setup_.buckets > 0) return table_of_buckets();
        // Fewer rows than distances, in no simple order, as buckets have.
        const int entries = setup_.reach + 2;
        std::vector<int> rows;
        for (int r = -setup_.reach; r <= setup_.reach; ++r) rows.push_back((r + setup_.reach) * 3 % entries);
        return {tensor({setup_.shared_tables ? 1 : setup_.heads, entries, setup_.head_dim}, -1, 1), integers(rows)};
    }

    void make_terms() {
        AttentionTerms& t = forward.terms;
        t.scale = setup_.scale;
        t.window = setup_.window;
        if (setup_.sequence_scale) {
            std::vector<double> scale;
            for (std::size_t s = 0; s < setup_.k_lengths.size(); ++s)
                scale.push_back(0.7 + 0.4 * static_cast<double>(s));
            t.sequence_scale =
                Tensor(copy_of(scale), {static_cast<std::int64_t>(scale.size())}, DType::float64, device_);
        }
        if (setup_.key_table) t.key_table = table();
        if (setup_.query_table) t.query_table = table();
        if (setup_.value_table) t.value_table = table();
        if (setup_.content_bias) t.content_bias = tensor({setup_.heads, setup_.head_dim}, -1, 1);
        if (setup_.position_bias) t.position_bias = tensor({setup_.heads, setup_.head_dim}, -1, 1);
        for (int n = 0; n < setup_.biases; ++n)
            t.biases[static_cast<std::size_t>(n)] = tensor({setup_.heads, 2 * (setup_.reach + n) + 1}, -1, 1);
        for (std::size_t n = 0; n < static_cast<std::size_t>(setup_.channels); ++n) {
            t.channels[n].query = channel_rows(q_rows_, setup_.channel_counts[n]);
            t.channels[n].key = channel_rows(k_rows_, setup_.channel_counts[n]);
        }
    }

    // With a fused product, further channels are columns of something wider too.
    Tensor channel_rows(std::int64_t rows, std::int64_t count) {
        const std::int64_t before = setup_.fused_product ? 1 : 0;
        return tensor({rows, before + setup_.heads, count}, -1, 1).slice(1, before, before + setup_.heads);
    }

    Tensor gradient_of(const Tensor& term) { return term ? tensor(term.shape, -1, 1) : Tensor(); }

    void make_outputs() {
        const Shape q_shape = {q_rows_, setup_.heads, setup_.head_dim},
                    k_shape = {k_rows_, setup_.heads, setup_.head_dim};
        AttentionForward& f = forward;
        f.out = tensor(q_shape, 7, 8);
        f.log_sum_exp = tensor({q_rows_, setup_.heads}, 7, 8);
        f.arena = &arena;
        AttentionBackward& b = backward;
        b.dout = tensor(q_shape, -1, 1);
        b.q = f.q, b.k = f.k, b.value = f.value, b.out = f.out, b.log_sum_exp = f.log_sum_exp;
        b.q_rows = f.q_rows, b.k_rows = f.k_rows, b.terms = f.terms;
        b.dropout = f.dropout, b.dropout_rows = f.dropout_rows;
        b.dq = tensor(q_shape, 7, 8), b.dk = tensor(k_shape, 7, 8), b.dvalue = tensor(k_shape, 7, 8);
        b.accumulate = setup_.accumulate;
        b.dterms.key_table = gradient_of(f.terms.key_table.rows);
        b.dterms.query_table = gradient_of(f.terms.query_table.rows);
        b.dterms.value_table = gradient_of(f.terms.value_table.rows);
        b.dterms.content_bias = gradient_of(f.terms.content_bias);
        b.dterms.position_bias = gradient_of(f.terms.position_bias);
        for (std::size_t n = 0; n < f.terms.biases.size(); ++n) b.dterms.biases[n] = gradient_of(f.terms.biases[n]);
        for (std::size_t n = 0; n < f.terms.channels.size(); ++n)
            b.dterms.channels[n] = {gradient_of(f.terms.channels[n].query), gradient_of(f.terms.channels[n].key)};
        b.arena = &arena;
    }

    AttentionSetup setup_;
    Device device_;
    std::deque<std::unique_ptr<void, std::function<void(void*)>>> memory_;
    std::int64_t q_rows_ = 0, k_rows_ = 0;
    std::uint32_t drawn_ = 0;
};

}  // namespace locus::test
