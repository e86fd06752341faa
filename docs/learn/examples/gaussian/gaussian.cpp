// gaussian: the score falls with the square of the distance, each head at a rate that it learns.
//
//   formula        score(i,j) = q_i . k_j / sqrt(head_dim) - w_h (i - j)^2 / max_length
//   shapes         w = gaussian_rate [heads, 1], one for all layers; may become negative: then the head looks away
//   parameters     heads
//   cost           one addition per score; the table by distance is made once per layer
//   property       symmetric: does not know left from right
//   extrapolation  any length; far keys fade, so a long text looks like a short one
//   source         after Guo et al. 2019, Gaussian Transformer, AAAI 33, who have an offset beside the rate
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class Gaussian : public PositionEncoding {
public:
    explicit Gaussian(const ModelSettings& model) : heads_(model.heads), length_(model.max_length) {}

    void declare_encoder_parameters(Parameters& parameters, const std::string& prefix) override {
        rate_ = &parameters.declare(prefix + "gaussian_rate", {heads_, 1}, Initialization::ones);
    }

    bool is_symmetric() const override { return true; }

    void relate(Tape& tape, const LayerContext&, const ModelInput& input, AttentionScore& score) const override {
        const std::int64_t reach = input.longest - 1;
        const Tensor squares = tape.host_tensor({2 * reach + 1, 1}, score.dtype);
        for (std::int64_t distance = -reach; distance <= reach; ++distance) {
            const double value = -static_cast<double>(distance * distance) / static_cast<double>(length_);
            if (score.dtype == DType::float64) squares.as<double>()[distance + reach] = value;
            if (score.dtype == DType::float32) squares.as<float>()[distance + reach] = static_cast<float>(value);
        }
        const Var by_distance = linear(tape, tape.constant(squares), tape.parameter(*rate_));  // [distances, heads]
        score.add_bias(transpose(tape, by_distance));
    }

private:
    std::int64_t heads_, length_;
    const Parameter* rate_ = nullptr;
};

}  // namespace

EncodingEntry gaussian_encoding() {
    return {.name = "gaussian",
            .summary = "the score falls with the square of the distance, each head at a rate that it learns",
            .options = {},
            .make = [](const ModelSettings& model, const PositionSettings&) -> std::unique_ptr<PositionEncoding> {
                return std::make_unique<Gaussian>(model);
            }};
}

}  // namespace locus
