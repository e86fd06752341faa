// rope: queries and keys are turned, pair of channels by pair of channels, by angles that grow with the position.
//
//   formula        q'_i = R_i q_i, k'_j = R_j k_j, score(i,j) = q'_i . k'_j / sqrt(head_dim) = q_i . R_{j-i} k_j / sqrt(head_dim)
//                  R_i turns pair c by i w_c,  w_c = base^(-2 c / D),  c = 0 .. D / 2 - 1,  D = fraction * head_dim rounded to an even number
//   shapes         cosines and sines [longest, D / 2]; values are not turned
//   parameters     0
//   cost           one pass over queries and keys per layer
//   property       the score depends on the contents and on j - i alone, with its sign
//   extrapolation  defined for every position, but slow pairs (w_c * length < 2 pi) reach angles that training never saw. For sequences longer
//                  than n = max_length, with s = factor, or their length / n when factor is 0:
//       none       as it is
//       linear     positions are divided by s: all angles stay in range, neighbours move closer
//       ntk        base becomes base * s^(D / (D - 2)): the slowest pair is slowed by s, the fastest not at all. With factor 0: "dynamic NTK"
//       yarn       pairs that turn more than 32 times within n stay, those that turn less than once are slowed by s, in between a linear
//                  mixture; cosines and sines grow by 0.1 ln s + 1, which sharpens the softmax
//   layout         half_split pairs channel c with c + D / 2 (Hugging Face), interleaved 2 c with 2 c + 1 (the paper): equal up to the
//                  order of channels
//   source         Su et al. 2021, arXiv:2104.09864; linear: Chen et al. 2023, arXiv:2306.15595; yarn: Peng et al. 2023, arXiv:2309.00071.
//                  Angles are computed in float64 at every position
#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

struct RopeOptions {
    double base, factor;
    std::string scaling;
    bool interleaved;
    std::int64_t head_dim, channels, trained_length;
};

class Rope : public PositionEncoding {
public:
    explicit Rope(RopeOptions options) : options_(std::move(options)) {}

    Var rotate(Tape& tape, Var x, std::int64_t columns, Tensor positions, const ModelInput& input) const override {
        const std::int64_t pairs = options_.channels / 2;
        const DType dtype = arithmetic_of(x.value().dtype);
        const Tensor cosines = tape.host_tensor({input.longest, pairs}, dtype),
                     sines = tape.host_tensor({input.longest, pairs}, dtype);
        if (cosines.dtype == DType::float64) {
            fill<double>(cosines, sines);
        } else {
            fill<float>(cosines, sines);
        }
        return rotary_in_place(tape, x, columns, {positions, cosines, sines, options_.head_dim, options_.interleaved});
    }

private:
    // How a pair turns in a sequence of some length.
    struct Turning {
        double frequency, amplitude;
    };

    Turning turning(std::int64_t pair, std::int64_t longest) const {
        const double channels = static_cast<double>(options_.channels), length = static_cast<double>(longest),
                     trained = static_cast<double>(options_.trained_length);
        const auto frequency = [&](double base) { return std::pow(base, -2.0 * static_cast<double>(pair) / channels); };
        const double plain = frequency(options_.base);
        if (options_.scaling == "none" || longest <= options_.trained_length) return {plain, 1};
        const double s = options_.factor > 0 ? options_.factor : length / trained;
        if (options_.scaling == "linear") return {plain / s, 1};
        if (options_.scaling == "ntk") return {frequency(options_.base * std::pow(s, channels / (channels - 2))), 1};
        const double slowed = yarn_share(pair);
        return {plain * (1 - slowed) + plain / s * slowed, 0.1 * std::log(s) + 1};
    }

    // 0 for pairs that turn more than 32 times within the trained length, 1 for less than once.
    double yarn_share(std::int64_t pair) const {
        const double trained = static_cast<double>(options_.trained_length);
        const auto pair_that_turns = [&](double times) {
            return static_cast<double>(options_.channels) * std::log(trained / (times * 2 * std::numbers::pi)) /
                   (2 * std::log(options_.base));
        };
        const double low = std::max(0.0, std::floor(pair_that_turns(32)));
        const double high =
            std::min(static_cast<double>(options_.channels) - 1, std::max(low + 0.001, std::ceil(pair_that_turns(1))));
        return std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
    }

    template <class T>
    void fill(const Tensor& cosines, const Tensor& sines) const {
        const std::int64_t longest = cosines.shape[0], pairs = cosines.shape[1];
        for (std::int64_t pair = 0; pair < pairs; ++pair) {
            const Turning turn = turning(pair, longest);
            for (std::int64_t i = 0; i < longest; ++i) {
                const double angle = static_cast<double>(i) * turn.frequency;
                cosines.as<T>()[i * pairs + pair] = static_cast<T>(turn.amplitude * std::cos(angle));
                sines.as<T>()[i * pairs + pair] = static_cast<T>(turn.amplitude * std::sin(angle));
            }
        }
    }

    RopeOptions options_;
};

std::unique_ptr<PositionEncoding> make_rope(const ModelSettings& model, const PositionSettings& position) {
    const auto number = [&](const char* name) { return std::get<double>(position.options.at(name)); };
    const std::int64_t head_dim = model.hidden / model.heads;
    const double fraction = number("fraction");
    if (!(number("base") > 1)) throw ModelError("model.position.base of rope must be above 1");
    if (!(fraction > 0 && fraction <= 1)) throw ModelError("model.position.fraction of rope must lie in (0, 1]");
    if (number("factor") != 0 && !(number("factor") >= 1))
        throw ModelError("model.position.factor of rope must be at least 1, or 0 for the ratio of the lengths");
    const auto channels = static_cast<std::int64_t>(fraction * static_cast<double>(head_dim)) / 2 * 2;
    const std::string scaling = std::get<std::string>(position.options.at("scaling"));
    const std::int64_t fewest = scaling == "ntk" ? 4 : 2;
    if (channels < fewest) {
        throw ModelError("rope turns pairs of channels: of a head's " + std::to_string(head_dim) + ", fraction " +
                         std::to_string(fraction) + " leaves " + std::to_string(channels) + ", and at least " +
                         std::to_string(fewest) + " are needed; raise model.hidden or lower model.heads");
    }
    return std::make_unique<Rope>(RopeOptions{number("base"), number("factor"), scaling,
                                              std::get<std::string>(position.options.at("layout")) == "interleaved",
                                              head_dim, channels, model.max_length});
}

}  // namespace

EncodingEntry rope_encoding() {
    return {
        .name = "rope",
        .summary = "queries and keys are turned by angles that grow with the position",
        .options =
            {{.name = "base", .initial = 10000.0, .choices = {}, .help = "the slowest pair turns at about 1 / base"},
             {.name = "fraction", .initial = 1.0, .choices = {}, .help = "of each head's channels that turn"},
             {.name = "layout",
              .initial = std::string("half_split"),
              .choices = {"half_split", "interleaved"},
              .help = "which channels are a pair"},
             {.name = "scaling",
              .initial = std::string("none"),
              .choices = {"none", "linear", "ntk", "yarn"},
              .help = "for sequences longer than model.max_length"},
             {.name = "factor", .initial = 0.0, .choices = {}, .help = "of the scaling; 0: length / model.max_length"}},
        .make = make_rope};
}

}  // namespace locus
