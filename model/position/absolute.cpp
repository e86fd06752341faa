// absolute: a learned table, one row per position, added to the embeddings (BERT) or just before the prediction.
//
//   formula        x_i = word[id_i] + type[t_i] + p_i,   p = position_embeddings [max_length, hidden], i = 0 .. max_length - 1
//                  site: input adds it there; site: output adds it to what the mask decoder starts from instead: the last layer's output, or,
//                  with mask_decoder: enhanced, the query of DeBERTa's decoder. That decoder gets these rows with site: input as well
//   parameters     max_length * hidden
//   cost           one row added per token; nothing in attention
//   property       the only encoding here that can tell "position 7" as such; knows nothing of distances
//   extrapolation  none: there is no row past the end. `beyond` says what stands there, with n = max_length and L the longest
//                  sequence of the batch:
//       error      nothing: the sequence is refused (as PyTorch and Hugging Face do, by an index error)
//       clip       p_i = p_{n-1}                    the last row again and again
//       tile       p_i = p_{i mod n}                start over
//       zero       p_i = 0
//       random     p_i ~ normal(0, initializer_range), drawn once per position: an untrained row, as a longer table would have it
//       interp     p_i = table at i (n - 1) / (L - 1), linear between its rows; only for sequences longer than the table, and then for
//                  all their positions
//       hier       p_i = a u_{i div n} + (1 - a) u_{i mod n},  u_k = (p_k - a p_0) / (1 - a): reproduces the rows below n exactly
//                  and reaches n^2. a = hier_alpha, below 0.5 so that the fine position outweighs the coarse one
//   start          initial: normal (BERT) draws the rows; initial: sinusoidal starts them as sines and cosines of the position, from where
//                  "the token before" is one rotation for all rows instead of a step to be learned for each: small models find it sooner
//   gradients      flow into the rows that a position is made of
//   source         Devlin et al. 2019, arXiv:1810.04805. hier: Su Jianlin, kexue.fm/archives/7947 (2020). interp: for tables as
//                  Chen et al. 2023, arXiv:2306.15595, do for angles. Output: He et al. 2021, arXiv:2006.03654, section 3.2
#include "model/error.h"
#include "model/position/learned_table.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class Absolute : public PositionEncoding {
public:
    Absolute(const ModelSettings& model, bool at_input, Initialization initial, LearnedTable table)
        : at_input_(at_input),
          at_decoder_(!at_input || model.has_enhanced_decoder()),
          initial_(initial),
          table_(std::move(table)) {}

    void declare_embedding_parameters(Parameters& parameters, const std::string& prefix) override {
        table_.declare(parameters, prefix + "position_embeddings.weight", initial_);
    }

    std::int64_t longest_sequence() const override { return table_.longest_sequence(); }

    std::string untrained_rows(std::int64_t length) const override { return table_.untrained_rows(length); }

    Var embed(Tape& tape, Var x, const ModelInput& input) const override {
        return at_input_ ? table_.add_rows(tape, x, input.rows.positions, input.longest) : x;
    }

    Var decode(Tape& tape, Var x, Tensor positions, const ModelInput& input) const override {
        return at_decoder_ ? table_.add_rows(tape, x, positions, input.longest) : x;
    }

private:
    bool at_input_, at_decoder_;
    Initialization initial_;
    LearnedTable table_;
};

std::unique_ptr<PositionEncoding> make_absolute(const ModelSettings& model, const PositionSettings& position) {
    const bool at_input = std::get<std::string>(position.options.at("site")) == "input";
    if (at_input && model.has_enhanced_decoder() && model.embedding_columns() != model.hidden)
        throw ModelError(
            "model.position: absolute at the input and mask_decoder: enhanced share one table, so model.embedding_size "
            "must be model.hidden");
    const bool waves = std::get<std::string>(position.options.at("initial")) == "sinusoidal";
    LearnedTable table("absolute", {model.max_length, at_input ? model.embedding_columns() : model.hidden},
                       model.initializer_range, std::get<std::string>(position.options.at("beyond")),
                       std::get<double>(position.options.at("hier_alpha")));
    return std::make_unique<Absolute>(model, at_input, waves ? Initialization::sinusoidal : Initialization::normal,
                                      std::move(table));
}

}  // namespace

EncodingEntry absolute_encoding() {
    return {.name = "absolute",
            .summary = "a learned table, one row per position, added to the embeddings (BERT)",
            .options = {{.name = "site",
                         .initial = std::string("input"),
                         .choices = {"input", "output"},
                         .help = "where the rows are added"},
                        {.name = "initial",
                         .initial = std::string("normal"),
                         .choices = {"normal", "sinusoidal"},
                         .help = "what the rows are before training"},
                        {.name = "beyond",
                         .initial = std::string("error"),
                         .choices = {"error", "clip", "tile", "zero", "random", "interp", "hier"},
                         .help = "what stands past the last row of the table"},
                        {.name = "hier_alpha",
                         .initial = 0.4,
                         .choices = {},
                         .help = "weight of the coarse position, for beyond: hier"}},
            .make = make_absolute};
}

}  // namespace locus
