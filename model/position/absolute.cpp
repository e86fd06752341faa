// absolute: a learned table, one row per position, added to the embeddings (BERT) or just before the prediction.
//
//   formula        x_i = word[id_i] + type[t_i] + p_i,   p = position_embeddings [max_length, hidden], i = 0 .. max_length - 1
//                  site: input adds it there; site: output adds it to what the mask decoder starts from instead: the last layer's output, or,
//                  with mask_decoder: enhanced, the query of DeBERTa's decoder. That decoder gets these rows with site: input as well
//   parameters     max_length * hidden
//   cost           one row added per token; nothing in attention
//   property       the only encoding here that can tell "position 7" as such; knows nothing of distances
//   extrapolation  none: there is no row past the end. `beyond` says what stands there, with n = max_length and L the longest
//                  sequence of the batch:
//       error      nothing: the sequence is refused (as PyTorch and Hugging Face do, by an index error)
//       clip       p_i = p_{n-1}                    the last row again and again
//       tile       p_i = p_{i mod n}                start over
//       zero       p_i = 0
//       random     p_i ~ normal(0, initializer_range), drawn once per position: an untrained row, as a longer table would have it
//       interp     p_i = table at i (n - 1) / (L - 1), linear between its rows; only for sequences longer than the table, and then for
//                  all their positions
//       hier       p_i = a u_{i div n} + (1 - a) u_{i mod n},  u_k = (p_k - a p_0) / (1 - a): reproduces the rows below n exactly
//                  and reaches n^2. a = hier_alpha, below 0.5 so that the fine position outweighs the coarse one
//   start          initial: normal (BERT) draws the rows; initial: sinusoidal starts them as sines and cosines of the position, from where
//                  "the token before" is one rotation for all rows instead of a step to be learned for each: small models find it sooner
//   gradients      flow into the rows that a position is made of
//   source         Devlin et al. 2019, arXiv:1810.04805. hier: Su Jianlin, kexue.fm/archives/7947 (2020). interp: for tables as
//                  Chen et al. 2023, arXiv:2306.15595, do for angles. Output: He et al. 2021, arXiv:2006.03654, section 3.2
#include <algorithm>
#include <array>

#include "kernels/random.h"
#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

// A position's vector as a weighted sum of at most three rows of the table.
struct Mixture {
    std::array<std::int32_t, 3> row = {0, 0, 0};
    std::array<double, 3> weight = {0, 0, 0};
};

class Absolute : public PositionEncoding {
public:
    Absolute(const ModelSettings& model, bool at_input, Initialization initial, std::string beyond, double hier_alpha)
        : at_input_(at_input),
          at_decoder_(!at_input || model.has_enhanced_decoder()),
          length_(model.max_length),
          columns_(at_input ? model.embedding_columns() : model.hidden),
          deviation_(model.initializer_range),
          initial_(initial),
          beyond_(std::move(beyond)),
          hier_alpha_(hier_alpha) {}

    void declare_embedding_parameters(Parameters& parameters, const std::string& prefix) override {
        table_ = &parameters.declare(prefix + "position_embeddings.weight", {length_, columns_}, initial_);
    }

    std::int64_t longest_sequence() const override {
        if (beyond_ == "error") return length_;
        return beyond_ == "hier" ? length_ * length_ : 0;
    }

    std::string untrained_rows(std::int64_t length) const override {
        std::vector<bool> reached(static_cast<std::size_t>(length_));
        for (std::int64_t i = 0; i < std::min(length, length_); ++i) reached[static_cast<std::size_t>(i)] = true;
        return describe_unreached(reached, "position_embeddings");
    }

    Var embed(Tape& tape, Var x, const ModelInput& input) const override {
        return at_input_ ? add_rows(tape, x, input.rows.positions, input.longest) : x;
    }

    Var decode(Tape& tape, Var x, Tensor positions, const ModelInput& input) const override {
        return at_decoder_ ? add_rows(tape, x, positions, input.longest) : x;
    }

private:
    // x + the vector of each row's position, in a batch whose longest sequence has `longest` tokens.
    Var add_rows(Tape& tape, Var x, Tensor positions, std::int64_t longest) const {
        const Var table = tape.parameter(*table_);
        if (longest <= length_) return embedding(tape, {{.table = table, .ids = positions}}, x);
        if (beyond_ == "random") return add_random_rows(tape, table, x, positions, longest);
        return add_mixtures(tape, table, x, positions, longest);
    }

    Mixture mixture(std::int64_t i, std::int64_t longest) const {
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

    Var add_mixtures(Tape& tape, Var table, Var x, Tensor positions, std::int64_t longest) const {
        const std::int64_t rows = positions.count();
        std::array<Tensor, 3> ids, weights;
        for (std::size_t n = 0; n < 3; ++n) {
            ids[n] = tape.allocate({rows}, DType::int32);
            weights[n] = tape.allocate({rows}, DType::float64);
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
    Var add_random_rows(Tape& tape, Var table, Var x, Tensor positions, std::int64_t longest) const {
        const std::int64_t rows = positions.count();
        const Tensor fresh = random_rows(tape, longest - length_, x.value().dtype);
        const Tensor trained_ids = tape.allocate({rows}, DType::int32), fresh_ids = tape.allocate({rows}, DType::int32);
        const Tensor is_trained = tape.allocate({rows}, DType::float64),
                     is_fresh = tape.allocate({rows}, DType::float64);
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
    Tensor random_rows(Tape& tape, std::int64_t count, DType dtype) const {
        const Tensor fresh = tape.allocate({count, columns_}, dtype);
        for (std::int64_t k = 0; k < count; ++k) {
            for (std::int64_t channel = 0; channel < columns_; channel += 2) {
                const Philox4 bits = philox({0, stream_positions}, {static_cast<std::uint32_t>(channel / 2),
                                                                    static_cast<std::uint32_t>(k), 0, 0});
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

    bool at_input_, at_decoder_;
    std::int64_t length_, columns_;
    double deviation_;
    Initialization initial_;
    std::string beyond_;
    double hier_alpha_;
    const Parameter* table_ = nullptr;
};

std::unique_ptr<PositionEncoding> make_absolute(const ModelSettings& model, const PositionSettings& position) {
    const double alpha = std::get<double>(position.options.at("hier_alpha"));
    if (!(alpha > 0.0 && alpha < 0.5))
        throw ModelError("model.position.hier_alpha of absolute must lie between 0 and 0.5");
    const bool at_input = std::get<std::string>(position.options.at("site")) == "input";
    if ((!at_input || model.has_enhanced_decoder()) && model.embedding_columns() != model.hidden && at_input)
        throw ModelError(
            "model.position: absolute at the input and mask_decoder: enhanced share one table, so model.embedding_size "
            "must be model.hidden");
    const bool waves = std::get<std::string>(position.options.at("initial")) == "sinusoidal";
    return std::make_unique<Absolute>(model, at_input, waves ? Initialization::sinusoidal : Initialization::normal,
                                      std::get<std::string>(position.options.at("beyond")), alpha);
}

}  // namespace

EncodingEntry absolute_encoding() {
    return {.name = "absolute",
            .summary = "a learned table, one row per position, added to the embeddings (BERT)",
            .options = {{.name = "site",
                         .initial = std::string("input"),
                         .choices = {"input", "output"},
                         .help = "where the rows are added"},
                        {.name = "initial",
                         .initial = std::string("normal"),
                         .choices = {"normal", "sinusoidal"},
                         .help = "what the rows are before training"},
                        {.name = "beyond",
                         .initial = std::string("error"),
                         .choices = {"error", "clip", "tile", "zero", "random", "interp", "hier"},
                         .help = "what stands past the last row of the table"},
                        {.name = "hier_alpha",
                         .initial = 0.4,
                         .choices = {},
                         .help = "weight of the coarse position, for beyond: hier"}},
            .make = make_absolute};
}

}  // namespace locus
