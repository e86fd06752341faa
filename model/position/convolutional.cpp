// convolutional: a convolution over the sequence, added to the embeddings; what stands next to a token tells it its place.
//
//   formula        x_i = e_i + ( sum_t w_t e_{i + t - (width - 1) / 2} + b ),   e_i = word[id_i] + type[t_i];   w_t, b act channel by channel
//       padding    zeros: e is 0 past the ends of the sequence;  nearest: e is the first or the last token's again
//   shapes         w [hidden, width], b [hidden]
//   parameters     hidden * (width + 1)
//   cost           2 width multiply-adds per number, once; nothing in attention
//   property       knows the neighbours within (width - 1) / 2 tokens and their sides; moving a phrase moves what it becomes, but for the ends.
//                  Zeros make the ends differ from the middle, and it is from there that places can be counted; with nearest a sequence of
//                  equal tokens looks the same everywhere. Alone it is short-sighted: made to stand beside another encoding
//   extrapolation  any length: nothing depends on it
//   source         Chu et al. 2021, arXiv:2102.10882 (CPVT), who convolve images after the first block; here it is the embeddings that are
//                  convolved, along the text. Taps start as PyTorch starts a convolution's
#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class Convolutional : public PositionEncoding {
public:
    Convolutional(std::int64_t columns, std::int64_t width, Edges edges)
        : columns_(columns), width_(width), edges_(edges) {}

    void declare_embedding_parameters(Parameters& parameters, const std::string& prefix) override {
        const std::string names = prefix + "position_embeddings.convolution.";
        weight_ = &parameters.declare(names + "weight", {columns_, width_}, Initialization::fan_in);
        bias_ = &parameters.declare(names + "bias", {columns_}, Initialization::zeros);
    }

    Var embed(Tape& tape, Var x, const ModelInput& input) const override {
        const Var weight = tape.parameter(*weight_), bias = tape.parameter(*bias_);
        return add(tape, x, depthwise_convolution(tape, x, weight, bias, input.rows, edges_));
    }

private:
    std::int64_t columns_, width_;
    Edges edges_;
    const Parameter *weight_ = nullptr, *bias_ = nullptr;
};

std::unique_ptr<PositionEncoding> make_convolutional(const ModelSettings& model, const PositionSettings& position) {
    const std::int64_t width = std::get<std::int64_t>(position.options.at("width"));
    if (width < 3 || width % 2 == 0 || width > max_depthwise_width)
        throw ModelError("model.position.width of convolutional is " + std::to_string(width) +
                         "; it must be odd, from 3 to " + std::to_string(max_depthwise_width));
    const bool zeros = std::get<std::string>(position.options.at("padding")) == "zeros";
    return std::make_unique<Convolutional>(model.embedding_columns(), width, zeros ? Edges::zeros : Edges::nearest);
}

}  // namespace

EncodingEntry convolutional_encoding() {
    return {.name = "convolutional",
            .summary = "a depthwise convolution over the sequence, added to the embeddings (CPVT)",
            .options = {{.name = "width",
                         .initial = std::int64_t{3},
                         .choices = {},
                         .help = "taps, odd: the token and (width - 1) / 2 neighbours on each side"},
                        {.name = "padding",
                         .initial = std::string("zeros"),
                         .choices = {"zeros", "nearest"},
                         .help = "what stands past the ends of the sequence"}},
            .make = make_convolutional};
}

}  // namespace locus
