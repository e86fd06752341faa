#pragma once
// The tape against central differences, in float64, through whole functions.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernels/random.h"
#include "model/autograd/operations.h"
#include "model/autograd/parameter.h"
#include "model/autograd/tape.h"
#include "model/model_input.h"

namespace locus::testing {

/// Standard normal numbers, the same for the same seed.
inline void fill_random(double* values, std::int64_t count, std::uint32_t seed, double scale = 1.0) {
    for (std::int64_t n = 0; n < count; ++n) {
        const Philox4 bits = philox({seed, 77}, {static_cast<std::uint32_t>(n), 0, 0, 0});
        values[n] = scale * box_muller(bits[0], bits[1])[0];
    }
}

/// A differentiable function of the parameters: builds its output on the tape.
using Function = std::function<Var(Tape&)>;

inline double dot(const Tensor& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::int64_t n = 0; n < a.count(); ++n) sum += a.as<double>()[n] * b[static_cast<std::size_t>(n)];
    return sum;
}

/// Largest error of the gradients of <cotangent, f> over all parameters, relative to the largest central difference of that
/// parameter. NaN counts as infinite; so does a parameter whose differences are all 0 (nothing would be tested), unless its name is in `unused`.
struct GradientError {
    double value = 0;
    std::string where;
};

inline GradientError gradient_error(Parameters& parameters, const Function& f,
                                    const std::vector<std::string>& unused = {}) {
    Arena arena;
    std::vector<double> cotangent;
    parameters.zero_gradients();
    {
        Tape tape(arena);
        const Var y = f(tape);
        cotangent.resize(static_cast<std::size_t>(y.value().count()));
        fill_random(cotangent.data(), y.value().count(), 4242);
        tape.backward(y, Tensor(cotangent.data(), y.shape(), DType::float64));
    }
    const auto objective = [&] {
        Tape tape(arena);
        tape.set_recording(false);
        return dot(f(tape).value(), cotangent);
    };
    GradientError worst;
    const auto report = [&](double error, const std::string& where) {
        if (!(error <= worst.value)) worst = {std::isfinite(error) ? error : INFINITY, where};
    };
    for (Parameter& parameter : parameters.all()) {
        double* const values = parameter.value.as<double>();
        const double* const gradients = parameter.gradient.as<double>();
        std::vector<double> expected;
        double largest = 0;
        for (std::int64_t n = 0; n < parameter.value.count(); ++n) {
            const double kept = values[n], h = 1e-5;
            values[n] = kept + h;
            const double above = objective();
            values[n] = kept - h;
            const double below = objective();
            values[n] = kept;
            expected.push_back((above - below) / (2 * h));
            largest = std::max(largest, std::abs(expected.back()));
        }
        const bool is_unused = std::find(unused.begin(), unused.end(), parameter.name) != unused.end();
        if (largest < 1e-7 && !is_unused) report(INFINITY, parameter.name + " has no influence");
        for (std::int64_t n = 0; n < parameter.value.count(); ++n) {
            const double error = std::abs(gradients[n] - expected[static_cast<std::size_t>(n)]);
            // The differences of a parameter without influence are rounding noise: its gradient must be as small.
            report(is_unused ? error / 1e-2 : error / std::max(largest, 1e-7),
                   parameter.name + "[" + std::to_string(n) + "]");
        }
    }
    return worst;
}

inline void expect_gradients_match(Parameters& parameters, const Function& f,
                                   const std::vector<std::string>& unused = {}) {
    const GradientError error = gradient_error(parameters, f, unused);
    EXPECT_LE(error.value, 1e-6) << "at " << error.where;
}

/// A ragged batch with the memory behind it.
struct RaggedBatch {
    std::vector<std::int32_t> ids, types, offsets, positions, sequences;
    ModelInput input;

    RaggedBatch() = default;
    RaggedBatch(const RaggedBatch&) = delete;
    RaggedBatch& operator=(const RaggedBatch&) = delete;

    /// Sequences of these lengths, ids drawn below `vocabulary` (from 1: 0 is padding), types 0 and 1.
    RaggedBatch(const std::vector<std::int32_t>& lengths, std::int32_t vocabulary, std::uint32_t seed = 3) {
        offsets.push_back(0);
        for (std::size_t s = 0; s < lengths.size(); ++s) {
            for (std::int32_t i = 0; i < lengths[s]; ++i) {
                const Philox4 bits = philox({seed, 5}, {static_cast<std::uint32_t>(ids.size()), 0, 0, 0});
                ids.push_back(1 +
                              static_cast<std::int32_t>(below(bits[0], static_cast<std::uint32_t>(vocabulary - 1))));
                types.push_back(static_cast<std::int32_t>(bits[1] & 1U));
                positions.push_back(i);
                sequences.push_back(static_cast<std::int32_t>(s));
            }
            offsets.push_back(static_cast<std::int32_t>(ids.size()));
        }
        refresh();
    }

    /// Points the tensors at the vectors again, after they were changed.
    void refresh() {
        const auto tensor = [](std::vector<std::int32_t>& values) {
            return Tensor(values.data(), {static_cast<std::int64_t>(values.size())}, DType::int32);
        };
        input.ids = tensor(ids);
        input.token_types = tensor(types);
        input.rows = {tensor(offsets), tensor(positions)};
        input.dropout_rows = {tensor(sequences), tensor(positions)};
        input.longest = 0;
        for (std::int32_t position : positions) input.longest = std::max<std::int64_t>(input.longest, position + 1);
    }
};

}  // namespace locus::testing
