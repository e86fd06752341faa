// additive_relative: vectors for the distances to the neighbours, summed up and added to the embedding. Kept to show why it fails.
//
//   formula        x_i = e_i + sum over j with 0 < |j - i| <= window of r_{j - i},   e_i = word[id_i] + type[t_i];   j within the sequence
//   shapes         r [2 window, hidden]: the offsets -window .. -1, then 1 .. window
//   parameters     2 window * hidden
//   cost           a product of [rows, 2 window] by r, whose factors are 1 where there is a neighbour and 0 where there is none
//   property       the sum forgets which j its terms came from: at least `window` tokens away from both ends it is one and the same vector
//                  for every i. What is left is a bag of words in which the 2 window outermost places are marked. A relative encoding
//                  needs the vector where i and j meet, inside the score: relative_key, t5_bias, rope
//   extrapolation  any length, trivially
//   source         a note's reading of "add the relative relation to the word embedding"; where the vectors belong: Shaw et al. 2018,
//                  arXiv:1803.02155
#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class AdditiveRelative : public PositionEncoding {
public:
    AdditiveRelative(std::int64_t columns, std::int64_t window) : columns_(columns), window_(window) {}

    void declare_embedding_parameters(Parameters& parameters, const std::string& prefix) override {
        table_ = &parameters.declare(prefix + "position_embeddings.distance.weight", {2 * window_, columns_});
    }

    Var embed(Tape& tape, Var x, const ModelInput& input) const override {
        const Tensor neighbours = tape.host_tensor({x.shape()[0], 2 * window_}, x.value().dtype);
        if (neighbours.dtype == DType::float64) {
            mark<double>(neighbours, input.rows);
        } else {
            mark<float>(neighbours, input.rows);
        }
        const Var table = transpose(tape, tape.parameter(*table_));
        return add(tape, x, linear(tape, tape.constant(neighbours), table));
    }

private:
    // 1 in the column of every offset at which the token of this row has a neighbour.
    template <class T>
    void mark(const Tensor& neighbours, const AttentionRows& rows) const {
        const auto* const offsets = rows.offsets.as<std::int32_t>();
        for (std::int64_t s = 0; s + 1 < rows.offsets.count(); ++s) {
            for (std::int64_t i = offsets[s]; i < offsets[s + 1]; ++i) {
                T* const row = neighbours.as<T>() + i * 2 * window_;
                for (std::int64_t n = 1; n <= window_; ++n) {
                    row[window_ - n] = i - n >= offsets[s] ? T(1) : T(0);
                    row[window_ + n - 1] = i + n < offsets[s + 1] ? T(1) : T(0);
                }
            }
        }
    }

    std::int64_t columns_, window_;
    const Parameter* table_ = nullptr;
};

std::unique_ptr<PositionEncoding> make_additive_relative(const ModelSettings& model, const PositionSettings& position) {
    const std::int64_t window = std::get<std::int64_t>(position.options.at("window"));
    if (window < 1) throw ModelError("model.position.window of additive_relative must be at least 1");
    return std::make_unique<AdditiveRelative>(model.embedding_columns(), window);
}

}  // namespace

EncodingEntry additive_relative_encoding() {
    return {
        .name = "additive_relative",
        .summary = "a vector per neighbour's distance, summed and added to the embedding; kept to show why it fails",
        .options = {{.name = "window",
                     .initial = std::int64_t{8},
                     .choices = {},
                     .help = "how far away a neighbour may be, in tokens"}},
        .make = make_additive_relative};
}

}  // namespace locus
