#pragma once
// An encoding's embed() alone, in float64, on embeddings that the test writes down.

#include <cmath>
#include <string>
#include <vector>

#include "tests/model/small_model.h"

namespace locus::testing {

class Embedded {
public:
    /// All parameters at random, normal times `scale`.
    explicit Embedded(const ModelSettings& settings, double scale = 0.5)
        : columns_(settings.embedding_columns()),
          encoding_(find_encoding(settings.position[0].encoding)->make(settings, settings.position[0])) {
        encoding_->declare_embedding_parameters(parameters, "");
        parameters.allocate();
        fill_random(parameters.values().as<double>(), parameters.count(), 9, scale);
    }

    /// Sets the parameter whose name ends like this.
    void set(const std::string& ending, const std::vector<double>& values) {
        for (Parameter& parameter : parameters.all()) {
            if (!parameter.name.ends_with(ending)) continue;
            ASSERT_EQ(parameter.value.count(), static_cast<std::int64_t>(values.size())) << parameter.name;
            std::copy(values.begin(), values.end(), parameter.value.as<double>());
            return;
        }
        FAIL() << "no parameter ends in " << ending;
    }

    /// embed() of x, one row of values per token of the batch.
    std::vector<double> operator()(std::vector<double> x, const ModelInput& input) {
        Arena arena;
        Tape tape(arena);
        const Tensor tensor(x.data(), {static_cast<std::int64_t>(x.size()) / columns_, columns_}, DType::float64);
        const Tensor y = encoding_->embed(tape, tape.constant(tensor), input).value();
        return {y.as<double>(), y.as<double>() + y.count()};
    }
    /// The same for a single sequence.
    std::vector<double> operator()(const std::vector<double>& x) {
        return (*this)(
            x, RaggedBatch({static_cast<std::int32_t>(x.size()) / static_cast<std::int32_t>(columns_)}, 11).input);
    }

    /// Row r of what operator() returned.
    std::vector<double> row(const std::vector<double>& values, std::size_t r) const {
        const auto begin = values.begin() + static_cast<std::ptrdiff_t>(r) * columns_;
        return {begin, begin + columns_};
    }

    Parameters parameters{DType::float64};

private:
    std::int64_t columns_;
    std::unique_ptr<PositionEncoding> encoding_;
};

/// A small model with a recurrent encoding; `kind` is the option that says which (cell, variant), `value` its value.
inline ModelSettings recurrent_settings(const std::string& encoding, const std::string& kind, const std::string& value,
                                        const std::string& directions, const std::string& states) {
    ModelSettings settings = small_settings(encoding);
    settings.position[0].options[kind] = value;
    settings.position[0].options["directions"] = directions;
    settings.position[0].options["states"] = states;
    return settings;
}

inline double logistic(double x) { return 1 / (1 + std::exp(-x)); }

inline std::vector<double> normals(std::size_t count, std::uint32_t seed) {
    std::vector<double> values(count);
    fill_random(values.data(), static_cast<std::int64_t>(count), seed);
    return values;
}

}  // namespace locus::testing
