// t5_bias: a learned number per head and bucket of distances, added to the score. T5's relative attention bias.
//
//   formula        score(i,j) = q_i . k_j / sqrt(head_dim) + B[bucket(j - i), h]
//                  bucket(d), with n = buckets / 2 and e = n / 2:   d > 0 (the key stands to the right) adds n to the bucket of |d|, where
//                      |d| < e                  |d|                                         one bucket per distance
//                      else                     min(n - 1, e + floor( ln(|d| / e) / ln(max_distance / e) * (n - e) ))
//   shapes         B = relative_attention_bias [buckets, heads], one for all layers
//   parameters     buckets * heads
//   cost           one addition per score; the table by distance is made once per step
//   property       knows the sign; near distances exactly, far ones by their magnitude. The right half's bucket for distance 0 is never used
//   extrapolation  any length: distances past max_distance share the last bucket, which training has to reach (max_distance at most
//                  the training length), else its row stays at its first value
//   source         Raffel et al. 2020, arXiv:1910.10683, section 2.1. Here the score keeps its 1 / sqrt(head_dim), as BERT has it; T5 leaves it
//                  to the initialisation
#include <cmath>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class T5Bias : public PositionEncoding {
public:
    T5Bias(const ModelSettings& model, std::int64_t buckets, std::int64_t max_distance)
        : heads_(model.heads), buckets_(buckets), max_distance_(max_distance) {}

    void declare_encoder_parameters(Parameters& parameters, const std::string& prefix) override {
        table_ = &parameters.declare(prefix + "relative_attention_bias.weight", {buckets_, heads_});
    }

    std::string untrained_rows(std::int64_t length) const override {
        std::vector<bool> reached(static_cast<std::size_t>(buckets_));
        for (std::int64_t d = 1 - length; d < length; ++d) reached[static_cast<std::size_t>(bucket(d))] = true;
        reached[static_cast<std::size_t>(buckets_ / 2)] = true;  // distance 0 to the right, which no pair has
        return describe_unreached(reached, "relative_attention_bias");
    }

    void relate(Tape& tape, const LayerContext&, const ModelInput& input, AttentionScore& score) const override {
        const std::int64_t reach = input.longest - 1;
        const Tensor bucket_of_distance = tape.allocate({2 * reach + 1}, DType::int32);
        for (std::int64_t distance = -reach; distance <= reach; ++distance) {  // query minus key
            bucket_of_distance.as<std::int32_t>()[distance + reach] = static_cast<std::int32_t>(bucket(-distance));
        }
        const Var by_distance =
            embedding(tape, {{.table = tape.parameter(*table_), .ids = bucket_of_distance}});  // [distances, heads]
        score.add_bias(transpose(tape, by_distance));
    }

private:
    std::int64_t bucket(std::int64_t key_minus_query) const {
        const std::int64_t one_side = buckets_ / 2, exact = one_side / 2;
        const std::int64_t side = key_minus_query > 0 ? one_side : 0, distance = std::abs(key_minus_query);
        if (distance < exact) return side + distance;
        const double relative = std::log(static_cast<double>(distance) / static_cast<double>(exact)) /
                                std::log(static_cast<double>(max_distance_) / static_cast<double>(exact));
        const auto step = static_cast<std::int64_t>(relative * static_cast<double>(one_side - exact));
        return side + std::min(one_side - 1, exact + step);
    }

    std::int64_t heads_, buckets_, max_distance_;
    const Parameter* table_ = nullptr;
};

std::unique_ptr<PositionEncoding> make_t5_bias(const ModelSettings& model, const PositionSettings& position) {
    const auto buckets = std::get<std::int64_t>(position.options.at("buckets"));
    const auto max_distance = std::get<std::int64_t>(position.options.at("max_distance"));
    if (buckets < 4 || buckets % 4 != 0) throw ModelError("model.position.buckets of t5_bias must be a multiple of 4");
    if (max_distance <= buckets / 4) {
        throw ModelError("model.position.max_distance of t5_bias must be above buckets / 4 = " +
                         std::to_string(buckets / 4) + ", up to where distances have buckets of their own");
    }
    return std::make_unique<T5Bias>(model, buckets, max_distance);
}

}  // namespace

EncodingEntry t5_bias_encoding() {
    return {.name = "t5_bias",
            .summary = "a learned number per head and bucket of distances, added to the score (T5)",
            .options =
                {{.name = "buckets", .initial = std::int64_t{32}, .choices = {}, .help = "half of them for each side"},
                 {.name = "max_distance",
                  .initial = std::int64_t{128},
                  .choices = {},
                  .help = "from here on all distances share a bucket"}},
            .make = make_t5_bias};
}

}  // namespace locus
