// Every operation's gradient against central differences in float64, and the two rules of the tape.
#include "model/autograd/operations.h"

#include <gtest/gtest.h>

#include "tests/model/gradient_check.h"

namespace locus {
namespace {

using testing::fill_random;
using testing::gradient_error;
using testing::RaggedBatch;

// Parameters of the given shapes with random values.
struct Inputs {
    Parameters parameters{DType::float64};

    explicit Inputs(const std::vector<std::pair<std::string, Shape>>& shapes, std::uint32_t seed = 1) {
        for (const auto& [name, shape] : shapes) parameters.declare(name, shape);
        parameters.allocate();
        fill_random(parameters.values().as<double>(), parameters.count(), seed);
    }
    Var operator()(Tape& tape, const char* name) { return tape.parameter(*parameters.find(name)); }
};

TEST(Operations, LinearGradients) {
    Inputs in({{"x", {7, 5}}, {"w", {3, 5}}, {"b", {3}}});
    testing::expect_gradients_match(in.parameters,
                                    [&](Tape& t) { return linear(t, in(t, "x"), in(t, "w"), in(t, "b")); });
}

TEST(Operations, LinearWithoutBiasGradients) {
    Inputs in({{"x", {2, 9}}, {"w", {4, 9}}});
    testing::expect_gradients_match(in.parameters, [&](Tape& t) { return linear(t, in(t, "x"), in(t, "w")); });
}

TEST(Operations, LinearGeluGradients) {
    Inputs in({{"x", {6, 4}}, {"w", {5, 4}}, {"b", {5}}});
    testing::expect_gradients_match(in.parameters,
                                    [&](Tape& t) { return linear_gelu(t, in(t, "x"), in(t, "w"), in(t, "b")); });
}

TEST(Operations, LayerNormGradients) {
    Inputs in({{"x", {5, 9}}, {"gamma", {9}}, {"beta", {9}}});
    testing::expect_gradients_match(
        in.parameters, [&](Tape& t) { return layer_norm(t, in(t, "x"), {}, in(t, "gamma"), in(t, "beta"), 1e-5); });
}

TEST(Operations, LayerNormWithResidualAndDropoutGradients) {
    Inputs in({{"x", {5, 9}}, {"r", {5, 9}}, {"gamma", {9}}, {"beta", {9}}});
    const RaggedBatch batch({2, 3}, 10);
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        return layer_norm(t, in(t, "x"), in(t, "r"), in(t, "gamma"), in(t, "beta"), 1e-5, {0.3F, 1, 2, 3},
                          batch.input.dropout_rows);
    });
}

TEST(Operations, LayerNormInPlaceIsTheSameWithLessMemory) {
    Inputs in({{"x", {40, 16}}, {"w", {16, 16}}, {"r", {40, 16}}, {"gamma", {16}}, {"beta", {16}}});
    const RaggedBatch batch({25, 15}, 10);
    std::vector<double> seed(40 * 16, 0.5);
    std::vector<std::vector<double>> results;
    std::vector<std::size_t> used;
    for (const auto norm : {layer_norm, layer_norm_in_place}) {
        Arena arena;
        Tape tape(arena);
        const Var x = linear(tape, in(tape, "x"), in(tape, "w"));
        const Var y = norm(tape, x, in(tape, "r"), in(tape, "gamma"), in(tape, "beta"), 1e-5, {0.3F, 1, 2, 3},
                           batch.input.dropout_rows);
        used.push_back(arena.used());
        std::vector<double>& result = results.emplace_back(y.value().as<double>(), y.value().as<double>() + 40 * 16);
        in.parameters.zero_gradients();
        tape.backward(y, Tensor(seed.data(), {40, 16}, DType::float64));
        const double* const gradients = in.parameters.gradients().as<double>();
        result.insert(result.end(), gradients, gradients + in.parameters.count());
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(used[0] - used[1], 40 * 16 * sizeof(double));
}

TEST(Operations, LayerNormOfAValueAndItselfGradients) {
    Inputs in({{"x", {4, 6}}, {"gamma", {6}}, {"beta", {6}}});
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var x = in(t, "x");
        return layer_norm(t, x, x, in(t, "gamma"), in(t, "beta"), 1e-5);
    });
}

TEST(Operations, DropoutGradients) {
    Inputs in({{"x", {5, 11}}});
    const RaggedBatch batch({1, 4}, 10);
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        return dropout(t, in(t, "x"), {0.4F, 9, 1, 2}, batch.input.dropout_rows);
    });
}

TEST(Operations, RecurrentGradientsInTwoDirectionsFromAStart) {
    for (Cell cell : {Cell::tanh, Cell::gru, Cell::lstm}) {
        const std::int64_t width = gates_of(cell) * 2;
        Inputs in({{"x", {6, 3}},
                   {"w", {2 * width, 3}},
                   {"right", {width, 2}},
                   {"right bias", {width}},
                   {"left", {width, 2}},
                   {"left bias", {width}},
                   {"start", {2}}});
        const RaggedBatch batch({2, 4}, 10);
        testing::expect_gradients_match(in.parameters, [&](Tape& t) {
            const Var x = linear(t, in(t, "x"), in(t, "w"));
            const RecurrentDirection right = {in(t, "right"), in(t, "right bias"), false, in(t, "start")};
            const RecurrentDirection left = {in(t, "left"), in(t, "left bias"), true};
            const Var once = recurrent(t, x, cell, {right, left}, batch.input.rows);
            return add(t, once, recurrent(t, x, cell, {left, left}, batch.input.rows));  // x is used twice
        });
    }
}

TEST(Operations, MinGruGradients) {
    Inputs in({{"x", {6, 3}}, {"w", {8, 3}}});
    const RaggedBatch batch({2, 4}, 10);
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var x = linear(t, in(t, "x"), in(t, "w"));
        return add(t, min_gru(t, x, batch.input.rows, 1), min_gru(t, x, batch.input.rows, 2));
    });
}

TEST(Operations, LruGradients) {
    Inputs in({{"x", {6, 3}}, {"w", {8, 3}}, {"nu", {4}}, {"phi", {4}}, {"log_c", {4}}});
    const RaggedBatch batch({2, 4}, 10);
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var u = linear(t, in(t, "x"), in(t, "w"));
        const LruFactors factors = {in(t, "nu"), in(t, "phi"), in(t, "log_c")};
        return add(t, lru(t, u, factors, batch.input.rows, 1), lru(t, u, factors, batch.input.rows, 2));
    });
}

TEST(Operations, DepthwiseConvolutionGradients) {
    Inputs in({{"x", {6, 3}}, {"w", {3, 3}}, {"taps", {3, 5}}, {"bias", {3}}});
    const RaggedBatch batch({2, 4}, 10);
    for (Edges edges : {Edges::zeros, Edges::nearest}) {
        testing::expect_gradients_match(in.parameters, [&](Tape& t) {
            const Var x = linear(t, in(t, "x"), in(t, "w"));
            const Var with_bias = depthwise_convolution(t, x, in(t, "taps"), in(t, "bias"), batch.input.rows, edges);
            return add(t, with_bias, depthwise_convolution(t, x, in(t, "taps"), {}, batch.input.rows, edges));
        });
    }
}

TEST(Operations, FlowGradients) {
    Inputs in({{"start", {3}}, {"in", {4, 3}}, {"time", {4}}, {"in bias", {4}}, {"out", {3, 4}}, {"out bias", {3}}});
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const FlowVariables network = {in(t, "in"), in(t, "time"), in(t, "in bias"), in(t, "out"), in(t, "out bias")};
        const FlowVariables timeless = {network.in_weight, {}, network.in_bias, network.out_weight, network.out_bias};
        const Var solved = flow(t, in(t, "start"), network, {Solver::rk4, 0.5, 2}, 5);
        return add(t, solved, flow(t, in(t, "start"), timeless, {Solver::euler, 1.0, 1}, 5));
    });
}

TEST(Operations, ConcatenateColumnsGradients) {
    Inputs in({{"a", {5, 3}}, {"b", {5, 2}}, {"w", {3, 5}}, {"v", {2, 3}}});
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var wide = linear(t, concatenate_columns(t, in(t, "a"), in(t, "b")), in(t, "w"));
        return linear(t, concatenate_columns(t, wide, wide), concatenate_columns(t, in(t, "v"), in(t, "v")));
    });
}

TEST(Operations, ConcatenateGradients) {
    Inputs in({{"a", {3}}, {"b", {2}}, {"x", {4, 3}}, {"w", {7, 3}}});
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var bias = concatenate(t, {in(t, "a"), zeros(t, in.parameters.find("b")->value), in(t, "b")});
        return linear(t, in(t, "x"), in(t, "w"), bias);
    });
}

TEST(Operations, TanhAndGeluGradientsAlsoWhereAnotherConsumerHasWritten) {
    Inputs in({{"x", {3, 5}}, {"w", {5, 5}}});
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var y = linear(t, in(t, "x"), in(t, "w"));
        return add(t, add(t, tanh(t, y), gelu(t, y)), tanh(t, in(t, "x")));
    });
}

TEST(Operations, UnfoldGradientsAlsoWhereAnotherConsumerHasWritten) {
    Inputs in({{"x", {6, 2}}, {"w", {2, 6}}});
    const RaggedBatch batch({4, 2}, 10);
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var x = add(t, in(t, "x"), in(t, "x"));
        return add(t, x, linear(t, unfold(t, x, 3, batch.input.rows), in(t, "w")));
    });
}

TEST(Operations, RowProductsGradients) {
    Inputs in({{"a", {4, 6}}, {"b", {3, 6}}});
    std::vector<std::int32_t> i = {0, 3, 3, 1}, j = {2, 2, 0, 2};
    const Tensor a_rows(i.data(), {4}, DType::int32), b_rows(j.data(), {4}, DType::int32);
    testing::expect_gradients_match(
        in.parameters, [&](Tape& t) { return row_products(t, in(t, "a"), a_rows, in(t, "b"), b_rows, 2, 0.5); }, {});
}

TEST(Operations, AddGradientsMeetInOneValue) {
    Inputs in({{"x", {3, 4}}, {"w", {4, 4}}});
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var x = in(t, "x");
        const Var y = linear(t, x, in(t, "w"));  // used three times below: overwrite, then add
        return add(t, add(t, y, x), linear(t, y, in(t, "w")));
    });
}

TEST(Operations, TransposeGradientsMeetInOneValue) {
    Inputs in({{"x", {3, 4}}, {"w", {3, 3}}});
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var x = transpose(t, in(t, "x"));
        return linear(t, transpose(t, transpose(t, linear(t, x, in(t, "w")))), in(t, "w"));
    });
}

TEST(Operations, RotaryGradients) {
    Inputs in({{"x", {3, 9}}, {"w", {9, 9}}});
    std::vector<std::int32_t> positions = {1, 0, 3};
    std::vector<double> cosines(8), sines(8);  // of any amplitude: yarn scales them
    testing::fill_random(cosines.data(), 8, 5);
    testing::fill_random(sines.data(), 8, 6);
    for (const bool interleaved : {false, true}) {
        const RotaryAngles angles = {Tensor(positions.data(), {3}, DType::int32),
                                     Tensor(cosines.data(), {4, 2}, DType::float64),
                                     Tensor(sines.data(), {4, 2}, DType::float64), 4, interleaved};
        testing::expect_gradients_match(in.parameters, [&](Tape& t) {
            const Var turned = rotary_in_place(t, linear(t, in(t, "x"), in(t, "w")), 8, angles);
            return add(t, turned, tanh(t, turned));
        });
    }
}

TEST(Operations, KerpleBiasGradients) {
    for (const bool power : {false, true}) {
        for (const std::int64_t sides : {1, 2}) {
            Inputs in({{"a", {sides, 3}}, {"p", {sides, 3}}});
            testing::expect_gradients_match(in.parameters,
                                            [&](Tape& t) { return kerple_bias(t, in(t, "a"), in(t, "p"), power, 4); });
        }
    }
}

TEST(Operations, BiasNetworkGradients) {
    Inputs in({{"x", {9}}, {"w1", {7, 1}}, {"b1", {7}}, {"w2", {3, 7}}});
    for (const double ceiling : {0.0, 16.0}) {
        testing::expect_gradients_match(in.parameters, [&](Tape& t) {
            return bias_network(t, {in(t, "x"), in(t, "w1"), in(t, "b1"), in(t, "w2")}, ceiling);
        });
    }
}

TEST(Operations, FireDistancesGradients) {
    Inputs in({{"c", {1}}, {"t", {1}}});
    double* const values = in.parameters.values().as<double>();
    for (const double c : {0.7, -1.3}) {
        for (const double t : {1.1, -0.9}) {
            values[0] = c;
            values[1] = t;
            const auto f = [&](bool is_signed, std::int64_t longest) {
                return [&in, is_signed, longest](Tape& tape) {
                    return fire_distances(tape, in(tape, "c"), in(tape, "t"), {0.1, 8, is_signed}, longest);
                };
            };
            testing::expect_gradients_match(in.parameters, f(true, 5));
            testing::expect_gradients_match(in.parameters, f(false, 5));
            testing::expect_gradients_match(in.parameters, f(true, 20), {"t"});  // longer than the threshold
        }
    }
}

TEST(Operations, GatherRowsGradients) {
    Inputs in({{"x", {6, 3}}, {"w", {2, 3}}});
    std::vector<std::int32_t> rows = {0, 2, 5};
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var x = linear(t, in(t, "x"), in(t, "w"));
        return gather_rows(t, x, Tensor(rows.data(), {3}, DType::int32));
    });
}

TEST(Operations, EmbeddingSumGradientsWithWeightsAndOnto) {
    Inputs in({{"a", {4, 3}}, {"b", {2, 3}}, {"onto", {5, 3}}});
    std::vector<std::int32_t> a = {3, 0, 3, 1, 2}, b = {0, 1, 1, 0, 1};
    std::vector<double> weights = {0.5, -1, 2, 0, 1};
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        return embedding(t,
                         {{.table = in(t, "a"), .ids = Tensor(a.data(), {5}, DType::int32)},
                          {.table = in(t, "b"),
                           .ids = Tensor(b.data(), {5}, DType::int32),
                           .weights = Tensor(weights.data(), {5}, DType::float64)}},
                         in(t, "onto"));
    });
}

TEST(Operations, EmbeddingSkipsThePaddingEntry) {
    Inputs in({{"a", {4, 3}}});
    std::vector<std::int32_t> ids = {0, 1, 0, 2, 3};
    Arena arena;
    Tape tape(arena);
    const Var y =
        embedding(tape, {{.table = in(tape, "a"), .ids = Tensor(ids.data(), {5}, DType::int32), .skip_entry = 0}});
    std::vector<double> ones(15, 1.0);
    tape.backward(y, Tensor(ones.data(), {5, 3}, DType::float64));
    const double* const gradient = in.parameters.gradients().as<double>();
    EXPECT_EQ(gradient[0], 0.0);
    EXPECT_EQ(gradient[3], 1.0);
}

struct AttentionCase {
    std::int64_t heads = 2, head_dim = 3, reach = 4;
    std::vector<std::int32_t> row_of_distance;
    RaggedBatch batch;

    AttentionCase() : batch({4, 1, 6}, 10) {
        for (std::int32_t r = 0; r < 2 * reach + 1; ++r)
            row_of_distance.push_back(r * 5 % 7);  // neither sorted nor one-to-one
    }
    RelativeTerm term(Var table) { return {table, Tensor(row_of_distance.data(), {2 * reach + 1}, DType::int32)}; }
};

TEST(Operations, AttentionOnOneProductGradients) {
    AttentionCase c;
    Inputs in({{"qkv", {11, 18}}, {"table", {7, 3}}});
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var qkv = in(t, "qkv");
        AttentionScore score;
        score.scale = 0.5;
        score.key_table = c.term(in(t, "table"));
        return attention(t, {qkv, 0}, {qkv, 6}, {qkv, 12}, c.heads, c.head_dim, c.batch.input.rows, c.batch.input.rows,
                         score, {0.2F, 1, 2, 3}, c.batch.input.dropout_rows);
    });
}

TEST(Operations, AttentionWithEveryTermGradients) {
    AttentionCase c;
    Inputs in({{"q", {11, 6}},
               {"kv", {11, 12}},
               {"key", {7, 6}},
               {"query", {7, 6}},
               {"value", {7, 3}},
               {"u", {2, 3}},
               {"v", {2, 3}},
               {"bias", {2, 5}},
               {"bias2", {2, 3}},
               {"a", {11, 4}},
               {"b", {11, 4}},
               {"a2", {11, 2}},
               {"b2", {11, 2}},
               {"w", {12, 12}}});
    testing::expect_gradients_match(in.parameters, [&](Tape& t) {
        const Var q = in(t, "q"), kv = linear(t, in(t, "kv"), in(t, "w"));
        AttentionScore score;
        score.scale = 0.4;
        score.key_table = c.term(in(t, "key"));
        score.query_table = c.term(in(t, "query"));
        score.value_table = c.term(in(t, "value"));
        score.content_bias = in(t, "u");
        score.position_bias = in(t, "v");
        score.biases = {in(t, "bias"), in(t, "bias2")};
        score.add_channels(in(t, "a"), in(t, "b"));
        score.add_channels(in(t, "a2"), in(t, "b2"));
        const auto attend = [&](Var from) {
            return attention(t, {from, 0}, {kv, 0}, {kv, 6}, c.heads, c.head_dim, c.batch.input.rows,
                             c.batch.input.rows, score);
        };
        return attend(attend(q));  // keys and values are used twice, as in the mask decoder
    });
}

TEST(Operations, MaskedCrossEntropyGradients) {
    Inputs in({{"x", {5, 4}}, {"w", {6, 4}}, {"b", {6}}});
    std::vector<std::int32_t> targets = {5, 0, 2, 2, 1};
    const auto loss = [&] {
        Arena arena;
        Tape tape(arena);
        const MaskedLoss result = masked_cross_entropy(tape, in(tape, "x"), in(tape, "w"), in(tape, "b"),
                                                       Tensor(targets.data(), {5}, DType::int32), 0.2);
        double sum = 0;
        for (int row = 0; row < 5; ++row) sum += 0.2 * result.loss.as<double>()[row];
        in.parameters.zero_gradients();
        // The bias gradient is made during the forward pass: compute it again after the zeroing.
        tape.clear();
        Tape again(arena);
        masked_cross_entropy(again, in(again, "x"), in(again, "w"), in(again, "b"),
                             Tensor(targets.data(), {5}, DType::int32), 0.2);
        again.backward();
        return sum;
    };
    loss();
    const double* const analytic = in.parameters.gradients().as<double>();
    const std::vector<double> gradient(analytic, analytic + in.parameters.count());
    double* const values = in.parameters.values().as<double>();
    for (std::int64_t n = 0; n < in.parameters.count(); ++n) {
        const double kept = values[n];
        values[n] = kept + 1e-5;
        const double above = loss();
        values[n] = kept - 1e-5;
        const double below = loss();
        values[n] = kept;
        EXPECT_NEAR(gradient[static_cast<std::size_t>(n)], (above - below) / 2e-5, 1e-8) << n;
    }
}

// The checker itself: each of these wrong gradients must be reported.
TEST(GradientCheck, ReportsZeroScaledAndNaNGradients) {
    for (const double factor : {0.0, -7.0, 1.001, std::nan("")}) {
        Inputs in({{"x", {2, 3}}});
        const auto wrong = [&](Tape& t) {
            const Var x = in(t, "x");
            const Tensor value = t.allocate({2, 3}, DType::float64);
            std::copy_n(x.value().as<double>(), 6, value.as<double>());
            const Var y = t.variable(value);
            t.record({}, [&t, x, y, factor] {
                const Tensor dy = t.gradient_of(y), dx = t.gradient_sum(x);
                for (int n = 0; n < 6; ++n) dx.as<double>()[n] += factor * dy.as<double>()[n];
            });
            return y;
        };
        EXPECT_GT(gradient_error(in.parameters, wrong).value, 5e-4) << factor;
    }
}

TEST(GradientCheck, ReportsAParameterWithoutInfluence) {
    Inputs in({{"x", {2, 3}}, {"w", {2, 3}}, {"idle", {2}}});
    EXPECT_EQ(gradient_error(in.parameters, [&](Tape& t) { return linear(t, in(t, "x"), in(t, "w")); }).where,
              "idle has no influence");
}

}  // namespace
}  // namespace locus
