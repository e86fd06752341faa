#include <gtest/gtest.h>

#include "model/position/position_encoding.h"
#include "tests/model/gradient_check.h"

namespace locus {

EncodingEntry gaussian_encoding();

namespace {

using testing::RaggedBatch;

/// The encoding with rates 1 and 0.5 for two heads of 3, and something to attend to.
struct Example {
    Parameters parameters{DType::float64};
    std::unique_ptr<PositionEncoding> encoding;
    RaggedBatch batch{{5, 2}, 11};
    Parameter* qkv = nullptr;

    Example() {
        ModelSettings model;
        model.heads = 2;
        model.max_length = 4;
        encoding = gaussian_encoding().make(model, {});
        encoding->declare_encoder_parameters(parameters, "encoder.");
        qkv = &parameters.declare("qkv", {7, 18});
        parameters.allocate();
        testing::fill_random(parameters.values().as<double>(), parameters.count(), 1);
        rates()[0] = 1.0;
        rates()[1] = 0.5;
    }
    double* rates() { return parameters.find("encoder.gaussian_rate")->value.as<double>(); }

    AttentionScore score(Tape& tape) const {
        AttentionScore result;
        result.dtype = DType::float64;
        encoding->relate(tape, {}, batch.input, result);
        return result;
    }
};

TEST(Gaussian, HasTheValuesOfItsFormula) {
    const Example example;
    Arena arena;
    Tape tape(arena);
    const Tensor bias = example.score(tape).biases[0].value();
    EXPECT_EQ(bias.shape, (Shape{2, 9}));  // distances -4 .. 4
    const double first[] = {-4, -2.25, -1, -0.25, 0, -0.25, -1, -2.25, -4};
    for (int n = 0; n < 9; ++n) {
        EXPECT_DOUBLE_EQ(bias.as<double>()[n], first[n]);
        EXPECT_DOUBLE_EQ(bias.as<double>()[9 + n], first[n] / 2);
    }
}

TEST(Gaussian, GradientsThroughTheAttentionMatchCentralDifferences) {
    Example example;
    testing::expect_gradients_match(example.parameters, [&](Tape& tape) {
        const Var qkv = tape.parameter(*example.qkv);
        const AttentionRows& rows = example.batch.input.rows;
        return attention(tape, {qkv, 0}, {qkv, 6}, {qkv, 12}, 2, 3, rows, rows, example.score(tape));
    });
}

}  // namespace
}  // namespace locus
