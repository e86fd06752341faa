// Attention over 4 tokens with one head of 2 numbers, and a key table by distance: every term forward and backward.
// Chapter: docs/learn/05-attention-backward.md

#include "kernels/attention.h"

#include <fmt/core.h>

#include <cmath>

#include "docs/learn/examples/values.h"

namespace locus::learn {
namespace {

constexpr std::int64_t tokens = 4, dim = 2, entries = 3;  // table rows for the distances -1 or less, 0, 1 or more

struct Example {
    Values q = {1, 0, 0, 1, 1, 1, -1, 0}, k = {1, 1, 0, 1, 1, 0, 0, -1}, value = {1, 0, 0, 2, -1, 1, 3, 0};
    Values table = {0.5, 0, 0, 0.5, -0.5, 0}, dout = {1, 0, 0, 1, 1, -1, 0, 2};
    Values out = Values(8), log_sum_exp = Values(4), dq = out, dk = out, dvalue = out, dtable = Values(6);
    std::vector<std::int32_t> offsets = {0, 4}, positions = {0, 1, 2, 3}, row_of_distance = {0, 1, 2};

    static Tensor heads(Values& x) { return view(x, {tokens, 1, dim}); }
    static Tensor integers(std::vector<std::int32_t>& x) {
        return Tensor(x.data(), {static_cast<std::int64_t>(x.size())}, DType::int32);
    }
    AttentionTerms terms() {
        AttentionTerms terms;
        terms.scale = 1 / std::sqrt(2.0);
        terms.key_table = {view(table, {1, entries, dim}), integers(row_of_distance)};
        return terms;
    }
    void forward() {
        const AttentionRows rows = {integers(offsets), integers(positions)};
        attention_reference_forward({.q = heads(q),
                                     .k = heads(k),
                                     .value = heads(value),
                                     .q_rows = rows,
                                     .k_rows = rows,
                                     .terms = terms(),
                                     .out = heads(out),
                                     .log_sum_exp = view(log_sum_exp, {tokens, 1})});
    }
    void backward() {
        const AttentionRows rows = {integers(offsets), integers(positions)};
        AttentionTermGradients dterms;
        dterms.key_table = view(dtable, {1, entries, dim});
        attention_reference_backward({.dout = heads(dout),
                                      .q = heads(q),
                                      .k = heads(k),
                                      .value = heads(value),
                                      .out = heads(out),
                                      .log_sum_exp = view(log_sum_exp, {tokens, 1}),
                                      .q_rows = rows,
                                      .k_rows = rows,
                                      .terms = terms(),
                                      .dq = heads(dq),
                                      .dk = heads(dk),
                                      .dvalue = heads(dvalue),
                                      .dterms = dterms});
    }
    double objective() {
        forward();
        return dot(dout, out);
    }
    /// Row i of a times row j of b.
    static double product(const Values& a, std::size_t i, const Values& b, std::size_t j) {
        return a[2 * i] * b[2 * j] + a[2 * i + 1] * b[2 * j + 1];
    }
};

template <class Cell>
void print_matrix(const char* name, Cell cell) {
    fmt::print("{}\n", name);
    for (std::size_t i = 0; i < 4; ++i) {
        double sum = 0.0;
        for (std::size_t j = 0; j < 4; ++j) {
            const double x = cell(i, j) + 0.0;
            fmt::print(" {:8.4f}", x);
            sum += x;
        }
        fmt::print("   row sum {:8.4f}\n", std::abs(sum) < 1e-12 ? 0.0 : sum);
    }
}

}  // namespace
}  // namespace locus::learn

int main() {
    using namespace locus::learn;
    Example e;
    e.forward();
    e.backward();
    const double scale = 1 / std::sqrt(2.0);
    const auto row = [](std::size_t i, std::size_t j) { return i < j ? 0U : i == j ? 1U : 2U; };
    const auto content = [&](std::size_t i, std::size_t j) { return scale * Example::product(e.q, i, e.k, j); };
    const auto position = [&](std::size_t i, std::size_t j) {
        return scale * Example::product(e.q, i, e.table, row(i, j));
    };
    const auto p = [&](std::size_t i, std::size_t j) {
        return std::exp(content(i, j) + position(i, j) - e.log_sum_exp[i]);
    };
    const auto dp = [&](std::size_t i, std::size_t j) { return Example::product(e.dout, i, e.value, j); };
    const auto ds = [&](std::size_t i, std::size_t j) {
        return p(i, j) * (dp(i, j) - Example::product(e.dout, i, e.out, i));
    };

    print_matrix("content -> content: scale q_i . k_j", content);
    print_matrix("content -> position: scale q_i . K[row(i - j)]", position);
    print_matrix("P = softmax of their sum", p);
    print_matrix("dP = dout_i . value_j", dp);
    print_matrix("dS = P (dP - D_i), D_i = dout_i . out_i", ds);
    fmt::print("Gradients of the textbook (attention_reference_backward)\n");
    const struct {
        const char* name;
        Values &x, &gradient;
    } all[] = {{"dq", e.q, e.dq}, {"dk", e.k, e.dk}, {"dvalue", e.value, e.dvalue}, {"dK table", e.table, e.dtable}};
    for (const auto& item : all) {
        fmt::print(" {:<9}", item.name);
        for (std::size_t n = 0; n < item.gradient.size(); n += 2)
            fmt::print(" ({:7.4f}, {:7.4f})", item.gradient[n], item.gradient[n + 1]);
        fmt::print("   central differences: {}\n",
                   largest_difference(item.gradient, central_differences(item.x, [&e] { return e.objective(); })) < 1e-8
                       ? "agree"
                       : "DIFFER");
    }
}
