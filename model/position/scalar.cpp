// scalar: the bare index, added to one channel. The first idea that everybody has, kept to show why it fails.
//
//   formula        x_i[channel] = e_i[channel] + scale * i,   x_i[c] = e_i[c] elsewhere;   e_i = word[id_i] + type[t_i]
//   parameters     0
//   cost           one addition per token
//   property       tells every position from every other, but grows without bound: the layer norm that follows divides by the size of the whole
//                  vector, so the index drowns the word. With n channels, a word of deviation d is left with d sqrt(n) / (scale * i)
//                  of its size, and two words at position 1000 are nearly the same vector
//   extrapolation  takes any length, and is worst there: values that training never saw, ever larger
//   options        scale: with 1 the first step is already fifty times what a word starts with in a channel (deviation 0.02)
//   source         a forum's toy example; the remedy is the table of bounded waves of Vaswani et al. 2017 (sinusoidal)
#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class Scalar : public PositionEncoding {
public:
    Scalar(double scale, std::int64_t channel) : scale_(scale), channel_(channel) {}

    // A table of one row, 1 at the channel, taken scale * i times by the token at position i.
    Var embed(Tape& tape, Var x, const ModelInput& input) const override {
        const std::int64_t rows = x.shape()[0], columns = x.shape()[1];
        const Tensor row = tape.host_tensor({1, columns}, x.value().dtype),
                     ids = tape.host_tensor({rows}, DType::int32);
        const Tensor weights = tape.host_tensor({rows}, DType::float64);
        for (std::int64_t c = 0; c < columns; ++c) {
            const bool chosen = c == channel_;
            if (row.dtype == DType::float64) {
                row.as<double>()[c] = chosen ? 1 : 0;
            } else {
                row.as<float>()[c] = chosen ? 1 : 0;
            }
        }
        for (std::int64_t r = 0; r < rows; ++r) {
            ids.as<std::int32_t>()[r] = 0;
            weights.as<double>()[r] = scale_ * input.rows.positions.as<std::int32_t>()[r];
        }
        return embedding(tape, {{.table = tape.constant(row), .ids = ids, .weights = weights}}, x);
    }

private:
    double scale_;
    std::int64_t channel_;
};

std::unique_ptr<PositionEncoding> make_scalar(const ModelSettings& model, const PositionSettings& position) {
    const double scale = std::get<double>(position.options.at("scale"));
    const std::int64_t channel = std::get<std::int64_t>(position.options.at("channel"));
    if (!(scale > 0)) throw ModelError("model.position.scale of scalar must be above 0");
    if (channel < 0 || channel >= model.embedding_columns())
        throw ModelError("model.position.channel of scalar is " + std::to_string(channel) +
                         "; there are channels 0 to " + std::to_string(model.embedding_columns() - 1));
    return std::make_unique<Scalar>(scale, channel);
}

}  // namespace

EncodingEntry scalar_encoding() {
    return {.name = "scalar",
            .summary = "the bare index, added to one channel; kept to show why it fails",
            .options = {{.name = "scale", .initial = 1.0, .choices = {}, .help = "what one position adds, above 0"},
                        {.name = "channel", .initial = std::int64_t{0}, .choices = {}, .help = "to which channel"}},
            .make = make_scalar};
}

}  // namespace locus
