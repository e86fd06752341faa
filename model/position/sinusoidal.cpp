// sinusoidal: a fixed table of sines and cosines, added to the embeddings.
//
//   formula        x_i = word[id_i] + type[t_i] + p_i
//                  p_i[2 c]     = scale * sin(i * base^(-2 c / hidden))
//                  p_i[2 c + 1] = scale * cos(i * base^(-2 c / hidden))              c = 0 .. hidden / 2 - 1
//   shapes         p: [longest sequence of the batch, hidden]; an odd last channel gets the sine alone
//   parameters     0
//   cost           longest * hidden sines per batch; nothing in attention
//   property       p_i . p_j depends on i - j alone (sum_c cos((i - j) w_c)), and not on its sign
//   extrapolation  defined for every position, but rows past the training length are new to the network: quality decays
//   options        base; scale: embeddings start with deviation 0.02, against which amplitude 1 would drown the words until they
//                  have grown, so the table starts at the words' own size
//   source         Vaswani et al. 2017, arXiv:1706.03762, section 3.5. Angles are computed in float64 at every position.
#include "model/error.h"
#include "model/position/position_encoding.h"
#include "model/position/waves.h"

namespace locus {
namespace {

class Sinusoidal : public PositionEncoding {
public:
    Sinusoidal(double base, double scale) : base_(base), scale_(scale) {}

    Var embed(Tape& tape, Var x, const ModelInput& input) const override {
        const Tensor table = waves(tape, {input.longest, x.shape()[1]}, x.value().dtype, base_, scale_);
        return embedding(tape, {{.table = tape.constant(table), .ids = input.rows.positions}}, x);
    }

private:
    double base_, scale_;
};

std::unique_ptr<PositionEncoding> make_sinusoidal(const ModelSettings&, const PositionSettings& position) {
    const double base = std::get<double>(position.options.at("base"));
    const double scale = std::get<double>(position.options.at("scale"));
    if (!(base > 1.0)) throw ModelError("model.position.base of sinusoidal must be above 1");
    if (!(scale > 0.0)) throw ModelError("model.position.scale of sinusoidal must be above 0");
    return std::make_unique<Sinusoidal>(base, scale);
}

}  // namespace

EncodingEntry sinusoidal_encoding() {
    return {
        .name = "sinusoidal",
        .summary = "a fixed table of sines and cosines, added to the embeddings",
        .options = {{.name = "base", .initial = 10000.0, .choices = {}, .help = "longest wavelength / 2 pi, above 1"},
                    {.name = "scale",
                     .initial = 0.02,
                     .choices = {},
                     .help = "amplitude; 1 in the paper, which scales the words up instead"}},
        .make = make_sinusoidal};
}

}  // namespace locus
