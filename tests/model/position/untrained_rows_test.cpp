// What training on short sequences leaves untouched, said before it begins.
#include <gtest/gtest.h>

#include "tests/model/small_model.h"

namespace locus {
namespace {

std::vector<std::string> untrained(const std::string& encoding, std::int64_t length,
                                   const std::map<std::string, OptionValue>& options = {}) {
    ModelSettings settings = testing::small_settings(encoding);
    for (const auto& [name, value] : options) settings.position[0].options[name] = value;
    return MaskedLanguageModel(settings, DType::float32).untrained_rows(length);
}

using Texts = std::vector<std::string>;

TEST(UntrainedRows, AreNamed) {
    EXPECT_EQ(untrained("absolute", 5), (Texts{"absolute: rows 5 to 7 of position_embeddings"}));
    EXPECT_EQ(untrained("relative_key", 7), (Texts{"relative_key: rows 0 and 14 of distance_embedding"}));
    EXPECT_EQ(untrained("relative_key_query", 2),
              (Texts{"relative_key_query: rows 0 to 5 and 9 to 14 of distance_embedding"}));
    EXPECT_EQ(untrained("disentangled", 6), (Texts{"disentangled: rows 0 to 2 and 14 to 15 of rel_embeddings"}));
    EXPECT_EQ(untrained("t5_bias", 65), (Texts{"t5_bias: rows 15 and 31 of relative_attention_bias"}));
}

TEST(UntrainedRows, AreNoneWhereTrainingReachesAll) {
    for (const char* encoding : {"absolute", "relative_key", "relative_key_query", "disentangled", "rope", "none"})
        EXPECT_EQ(untrained(encoding, 8), Texts{}) << encoding;
    EXPECT_EQ(untrained("t5_bias", 92), Texts{});
    EXPECT_EQ(untrained("disentangled", 8, {{"buckets", std::int64_t{4}}}), Texts{});
}

TEST(UntrainedRows, AreTheRowsWithoutAGradient) {
    for (const char* encoding : {"absolute", "relative_key", "disentangled", "t5_bias"}) {
        const auto model = testing::perturbed_model(testing::small_settings(encoding));
        const testing::RaggedBatch batch({5}, 11);
        Arena arena;
        Tape tape(arena);
        const Var y = model->encode(tape, batch.input, {});
        std::vector<double> seed(static_cast<std::size_t>(y.value().count()));
        testing::fill_random(seed.data(), y.value().count(), 3);
        tape.backward(y, Tensor(seed.data(), y.shape(), DType::float64));
        const std::string text = model->untrained_rows(5).at(0);
        const std::string name = text.substr(text.rfind(' ') + 1);
        for (const Parameter& parameter : model->parameters().all()) {
            if (parameter.name.find(name) == std::string::npos) continue;
            const std::int64_t columns = parameter.value.shape[1];
            std::vector<bool> reached;
            for (std::int64_t row = 0; row < parameter.value.shape[0]; ++row) {
                double largest = 0;
                for (std::int64_t c = 0; c < columns; ++c)
                    largest = std::max(largest, std::abs(parameter.gradient.as<double>()[row * columns + c]));
                reached.push_back(largest > 0);
            }
            if (std::string(encoding) == "t5_bias")
                reached[16] = true;  // distance 0 to the right: no length reaches it
            EXPECT_EQ(std::string(encoding) + ": " + describe_unreached(reached, name), text) << parameter.name;
        }
    }
}

}  // namespace
}  // namespace locus
