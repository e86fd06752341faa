// alibi: the score falls with the distance, each head at its own slope. Attention with linear biases.
//
//   formula        score(i,j) = q_i . k_j / sqrt(head_dim) - cost_h(i - j)
//       symmetric  cost_h(r) = m_h |r|                              blind to the direction
//       offset     cost_h(r) = m_h |r| - m_h / 2 for r > 0          a key to the left costs a little less than one to the right
//       one_sided  cost_h(r) = m_h |r| on one side, forbidden on the other: the first half of the heads looks left, the second right
//       two_slopes cost_h(r) = m_h |r| to the left (r > 0), m_{H-1-h} |r| to the right
//                  m_h = 2^(-8 (h + 1) / H) for H heads, H a power of two; else the slopes of the power of two below H, followed by every
//                  other slope of the power above it
//   parameters     0
//   cost           one addition per score
//   property       near keys first, at H different ranges (about 3 / m_h tokens)
//   extrapolation  any length: a distance that training never saw costs what the line says
//   source         Press et al. 2022, arXiv:2108.12409, for a causal model. For encoders: symmetric as in MosaicBERT (Portes et al. 2023,
//                  arXiv:2312.17482); offset as in the code of Ruoss et al. 2023, arXiv:2305.16843
#include <bit>
#include <cmath>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

std::vector<double> alibi_slopes(std::int64_t heads) {
    const auto below = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(heads)));
    const auto slope = [](std::int64_t h, std::int64_t of) {
        return std::exp2(-8.0 * static_cast<double>(h + 1) / static_cast<double>(of));
    };
    std::vector<double> slopes;
    for (std::int64_t h = 0; h < below; ++h) slopes.push_back(slope(h, below));
    for (std::int64_t h = 0; h < heads - below; ++h) slopes.push_back(slope(2 * h, 2 * below));
    return slopes;
}

class Alibi : public PositionEncoding {
public:
    Alibi(const ModelSettings& model, std::string sides)
        : slopes_(alibi_slopes(model.heads)), sides_(std::move(sides)) {}

    bool is_symmetric() const override { return sides_ == "symmetric"; }

    void relate(Tape& tape, const LayerContext&, const ModelInput& input, AttentionScore& score) const override {
        const std::int64_t reach = input.longest - 1, heads = static_cast<std::int64_t>(slopes_.size());
        const Tensor bias = tape.host_tensor({heads, 2 * reach + 1}, score.dtype);
        for (std::int64_t h = 0; h < heads; ++h) {
            for (std::int64_t r = -reach; r <= reach; ++r) {
                const std::int64_t at = h * (2 * reach + 1) + r + reach;
                if (score.dtype == DType::float64) {
                    bias.as<double>()[at] = -cost(h, r);
                } else {
                    bias.as<float>()[at] = static_cast<float>(-cost(h, r));
                }
            }
        }
        score.add_bias(tape.constant(bias));
    }

private:
    double cost(std::int64_t head, std::int64_t r) const {
        constexpr double forbidden = 1e9;  // finite, so that a row of nothing else stays a number
        const auto heads = static_cast<std::int64_t>(slopes_.size());
        const double slope = slopes_[static_cast<std::size_t>(head)], distance = static_cast<double>(std::abs(r));
        if (sides_ == "offset") return slope * distance - (r > 0 ? slope / 2 : 0);
        if (sides_ == "one_sided") {
            const bool looks_left = head < (heads + 1) / 2;
            return r == 0 || (r > 0) == looks_left ? slope * distance : forbidden;
        }
        if (sides_ == "two_slopes" && r < 0) return slopes_[static_cast<std::size_t>(heads - 1 - head)] * distance;
        return slope * distance;
    }

    std::vector<double> slopes_;
    std::string sides_;
};

std::unique_ptr<PositionEncoding> make_alibi(const ModelSettings& model, const PositionSettings& position) {
    return std::make_unique<Alibi>(model, std::get<std::string>(position.options.at("sides")));
}

}  // namespace

EncodingEntry alibi_encoding() {
    return {.name = "alibi",
            .summary = "the score falls with the distance, each head at its own slope",
            .options = {{.name = "sides",
                         .initial = std::string("symmetric"),
                         .choices = {"symmetric", "offset", "one_sided", "two_slopes"},
                         .help = "how left and right differ"}},
            .make = make_alibi};
}

}  // namespace locus
