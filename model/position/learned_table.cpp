#include "model/position/learned_table.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/random.h"
#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {

LearnedTable::LearnedTable(std::string_view encoding, Shape shape, double deviation, std::string beyond,
                           double hier_alpha)
    : length_(shape[0]),
      columns_(shape[1]),
      deviation_(deviation),
      beyond_(std::move(beyond)),
      hier_alpha_(hier_alpha) {
    if (!(hier_alpha > 0.0 && hier_alpha < 0.5))
        throw ModelError("model.position.hier_alpha of " + std::string(encoding) + " must lie between 0 and 0.5");
}

void LearnedTable::declare(Parameters& parameters, const std::string& name, Initialization initial) {
    table_ = &parameters.declare(name, {length_, columns_}, initial);
}

std::int64_t LearnedTable::longest_sequence() const {
    if (beyond_ == "error") return length_;
    return beyond_ == "hier" ? length_ * length_ : 0;
}

std::string LearnedTable::untrained_rows(std::int64_t length) const {
    std::vector<bool> reached(static_cast<std::size_t>(length_));
    std::fill_n(reached.begin(), std::min(length, length_), true);
    return describe_unreached(reached, "position_embeddings");
}

Var LearnedTable::add_rows(Tape& tape, Var x, Tensor positions, std::int64_t longest) const {
    const Var table = tape.parameter(*table_);
    if (longest <= length_) return embedding(tape, {{.table = table, .ids = positions}}, x);
    return add_beyond(tape, table, x, positions, longest);
}

Var LearnedTable::add_beyond(Tape& tape, Var table, Var x, Tensor positions, std::int64_t longest) const {
    if (beyond_ == "random") return add_random_rows(tape, table, x, positions, longest);
    return add_mixtures(tape, table, x, positions, longest);
}

void LearnedTable::lengthen(const Tensor& values, const Tensor& longer) const {
    const std::int64_t rows = longer.shape[0];
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    const Tensor positions = tape.host_tensor({rows}, DType::int32);
    std::iota(positions.as<std::int32_t>(), positions.as<std::int32_t>() + rows, 0);
    const Var filled = add_beyond(tape, tape.constant(values), zeros(tape, longer), positions, rows);
    std::memcpy(longer.data, filled.value().data, static_cast<std::size_t>(longer.bytes()));
}

LearnedTable::Mixture LearnedTable::mixture(std::int64_t i, std::int64_t longest) const {
    const auto row = [](std::int64_t index) { return static_cast<std::int32_t>(index); };
    if (beyond_ == "interp") {
        const double place = static_cast<double>(i * (length_ - 1)) / static_cast<double>(longest - 1);
        const std::int64_t below = std::min(static_cast<std::int64_t>(place), length_ - 1);
        const std::int64_t above = std::min(below + 1, length_ - 1);
        const double part = place - static_cast<double>(below);
        return {{row(below), row(above), 0}, {1 - part, part, 0}};
    }
    if (i < length_) return {{row(i), 0, 0}, {1, 0, 0}};
    if (beyond_ == "clip") return {{row(length_ - 1), 0, 0}, {1, 0, 0}};
    if (beyond_ == "tile") return {{row(i % length_), 0, 0}, {1, 0, 0}};
    if (beyond_ == "zero") return {};
    // hier, with a u_k = (a p_k - a^2 p_0) / (1 - a) and (1 - a) u_k = p_k - a p_0
    const double a = hier_alpha_;
    return {{row(i / length_), row(i % length_), 0}, {a / (1 - a), 1, -a * a / (1 - a) - a}};
}

Var LearnedTable::add_mixtures(Tape& tape, Var table, Var x, Tensor positions, std::int64_t longest) const {
    const std::int64_t rows = positions.count();
    std::array<Tensor, 3> ids, weights;
    for (std::size_t n = 0; n < 3; ++n) {
        ids[n] = tape.host_tensor({rows}, DType::int32);
        weights[n] = tape.host_tensor({rows}, DType::float64);
    }
    const std::int32_t* const position = positions.as<std::int32_t>();
    for (std::int64_t r = 0; r < rows; ++r) {
        const Mixture mixed = mixture(position[r], longest);
        for (std::size_t n = 0; n < 3; ++n) {
            ids[n].as<std::int32_t>()[r] = mixed.row[n];
            weights[n].as<double>()[r] = mixed.weight[n];
        }
    }
    return embedding(tape,
                     {{.table = table, .ids = ids[0], .weights = weights[0]},
                      {.table = table, .ids = ids[1], .weights = weights[1]},
                      {.table = table, .ids = ids[2], .weights = weights[2]}},
                     x);
}

// The trained table and, as a second one, rows that were never trained; each position takes one of them with weight 1.
Var LearnedTable::add_random_rows(Tape& tape, Var table, Var x, Tensor positions, std::int64_t longest) const {
    const std::int64_t rows = positions.count();
    const Tensor fresh = random_rows(tape, longest - length_, arithmetic_of(x.value().dtype));
    const Tensor trained_ids = tape.host_tensor({rows}, DType::int32),
                 fresh_ids = tape.host_tensor({rows}, DType::int32);
    const Tensor is_trained = tape.host_tensor({rows}, DType::float64),
                 is_fresh = tape.host_tensor({rows}, DType::float64);
    const std::int32_t* const position = positions.as<std::int32_t>();
    for (std::int64_t r = 0; r < rows; ++r) {
        const bool beyond = position[r] >= length_;
        trained_ids.as<std::int32_t>()[r] = beyond ? 0 : position[r];
        fresh_ids.as<std::int32_t>()[r] = beyond ? position[r] - static_cast<std::int32_t>(length_) : 0;
        is_trained.as<double>()[r] = beyond ? 0 : 1;
        is_fresh.as<double>()[r] = beyond ? 1 : 0;
    }
    return embedding(tape,
                     {{.table = table, .ids = trained_ids, .weights = is_trained},
                      {.table = tape.constant(fresh), .ids = fresh_ids, .weights = is_fresh}},
                     x);
}

// Row k belongs to position length_ + k, whatever the batch: philox key (0, stream_positions), counter (channel / 2, k, 0, 0).
Tensor LearnedTable::random_rows(Tape& tape, std::int64_t count, DType dtype) const {
    const Tensor fresh = tape.host_tensor({count, columns_}, dtype);
    for (std::int64_t k = 0; k < count; ++k) {
        for (std::int64_t channel = 0; channel < columns_; channel += 2) {
            const Philox4 bits = philox({0, stream_positions},
                                        {static_cast<std::uint32_t>(channel / 2), static_cast<std::uint32_t>(k), 0, 0});
            const auto normal = box_muller(bits[0], bits[1]);
            for (std::int64_t c = channel; c < std::min(channel + 2, columns_); ++c) {
                const double value = deviation_ * normal[static_cast<std::size_t>(c - channel)];
                if (dtype == DType::float64) {
                    fresh.as<double>()[k * columns_ + c] = value;
                } else {
                    fresh.as<float>()[k * columns_ + c] = static_cast<float>(value);
                }
            }
        }
    }
    return fresh;
}

}  // namespace locus
