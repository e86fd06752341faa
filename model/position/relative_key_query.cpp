// relative_key_query: relative_key, where the key asks too. Hugging Face BERT's position_embedding_type "relative_key_query".
//
//   formula        score(i,j) = ( q_i . k_j + q_i . D[i - j + n - 1] + k_j . D[i - j + n - 1] ) / sqrt(head_dim),  n = max_length
//   shapes         D = distance_embedding [2 n - 1, head_dim], one per layer, shared by the heads and by both terms; row 0 is the most
//                  negative distance, row n - 1 is distance 0
//   parameters     layers * (2 n - 1) * head_dim
//   cost           twice as much again as q . k, on the band of distances that a tile can see
//   property       the score depends on i - j alone and knows the sign; a key can ask for a distance ("look at me from two to the right"),
//                  which relative_key cannot say
//   extrapolation  beyond: clip (default) gives every distance past the table its outermost row; beyond: error refuses the sequence, as
//                  Hugging Face does by an index error
//   source         Huang et al. 2020, arXiv:2009.13658, method 4
#include <algorithm>

#include "model/position/position_encoding.h"

namespace locus {
namespace {

class RelativeKeyQuery : public PositionEncoding {
public:
    RelativeKeyQuery(const ModelSettings& model, bool clip)
        : length_(model.max_length), head_dim_(model.hidden / model.heads), clip_(clip) {
        for (std::int32_t row = 0; row < 2 * length_ - 1; ++row) row_of_distance_.push_back(row);
    }

    void declare_layer_parameters(Parameters& parameters, const std::string& prefix) override {
        tables_.push_back(&parameters.declare(prefix + "distance_embedding.weight", {2 * length_ - 1, head_dim_}));
    }

    std::int64_t longest_sequence() const override { return clip_ ? 0 : length_; }

    std::string untrained_rows(std::int64_t length) const override {
        std::vector<bool> reached(row_of_distance_.size());
        const std::int64_t reach = std::min(length, length_) - 1;
        for (std::int64_t r = -reach; r <= reach; ++r) reached[static_cast<std::size_t>(r + length_ - 1)] = true;
        return describe_unreached(reached, "distance_embedding");
    }

    void relate(Tape& tape, const LayerContext& layer, const ModelInput&, AttentionScore& score) const override {
        const Var table = tape.parameter(*tables_[static_cast<std::size_t>(layer.number)]);
        const Tensor rows(const_cast<std::int32_t*>(row_of_distance_.data()),
                          {static_cast<std::int64_t>(row_of_distance_.size())}, DType::int32);
        score.key_table = {table, rows};
        score.query_table = {table, rows};
    }

private:
    std::int64_t length_, head_dim_;
    bool clip_;
    std::vector<std::int32_t> row_of_distance_;  // distance r has row r + n - 1
    std::vector<const Parameter*> tables_;       // by layer
};

std::unique_ptr<PositionEncoding> make_relative_key_query(const ModelSettings& model,
                                                          const PositionSettings& position) {
    return std::make_unique<RelativeKeyQuery>(model, std::get<std::string>(position.options.at("beyond")) == "clip");
}

}  // namespace

EncodingEntry relative_key_query_encoding() {
    return {.name = "relative_key_query",
            .summary = "relative_key, where the key asks for the distance too (Hugging Face's relative_key_query)",
            .options = {{.name = "beyond",
                         .initial = std::string("clip"),
                         .choices = {"clip", "error"},
                         .help = "distances past the table: its outermost row, or a refusal"}},
            .terms = {ScoreTerm::key_table, ScoreTerm::query_table},
            .make = make_relative_key_query};
}

}  // namespace locus
