// t5_bias: a learned number per head and bucket of distances, added to the score. T5's relative attention bias.
//
//   formula        score(i,j) = q_i . k_j / sqrt(head_dim) + B[bucket(j - i), h]
//                  bucket(d), with n = buckets / 2 and e = n / 2:   d > 0 (the key stands to the right) adds n to the bucket of |d|, where
//                      |d| < e                  |d|                                         one bucket per distance
//                      else                     min(n - 1, e + floor( ln(|d| / e) / ln(max_distance / e) * (n - e) ))
//   shapes         B = relative_attention_bias [buckets, heads], one for all layers
//   parameters     buckets * heads
//   cost           one addition per score; the table by distance is made once per layer
//   property       knows the sign; near distances exactly, far ones by their magnitude. The right half's bucket for distance 0 is never used
//   extrapolation  any length: distances past max_distance share the last bucket, which training has to reach (max_distance at most
//                  the training length), else its row stays at its first value
//   source         Raffel et al. 2020, arXiv:1910.10683, section 2.1. Here the score keeps its 1 / sqrt(head_dim), as BERT has it; T5 leaves it
//                  to the initialisation
#include "model/position/position_encoding.h"
#include "model/position/t5_buckets.h"

namespace locus {
namespace {

class T5Bias : public PositionEncoding {
public:
    T5Bias(const ModelSettings& model, const T5Buckets& buckets) : heads_(model.heads), buckets_(buckets) {}

    void declare_encoder_parameters(Parameters& parameters, const std::string& prefix) override {
        table_ = &parameters.declare(prefix + "relative_attention_bias.weight", {buckets_.buckets, heads_});
    }

    std::string untrained_rows(std::int64_t length) const override {
        return describe_unreached(buckets_.reached(length), "relative_attention_bias");
    }

    void relate(Tape& tape, const LayerContext&, const ModelInput& input, AttentionScore& score) const override {
        const Tensor buckets = buckets_.by_distance(tape, input.longest - 1);
        const Var by_distance =
            embedding(tape, {{.table = tape.parameter(*table_), .ids = buckets}});  // [distances, heads]
        score.add_bias(transpose(tape, by_distance));
    }

private:
    std::int64_t heads_;
    T5Buckets buckets_;
    const Parameter* table_ = nullptr;
};

std::unique_ptr<PositionEncoding> make_t5_bias(const ModelSettings& model, const PositionSettings& position) {
    const T5Buckets buckets = {.buckets = std::get<std::int64_t>(position.options.at("buckets")),
                               .max_distance = std::get<std::int64_t>(position.options.at("max_distance"))};
    buckets.check("t5_bias");
    return std::make_unique<T5Bias>(model, buckets);
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
