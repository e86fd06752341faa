// hybrid: half sinusoidal, half learned: a fixed part that goes on, and a trained part that ends.
//
//   formula        x_i = e_i + [ s_i | l_i ],   e_i = word[id_i] + type[t_i]
//                  s_i[2 c] = scale * sin(i w_c),  s_i[2 c + 1] = scale * cos(i w_c),  w_c = base^(-4 c / hidden)      the first half of the channels
//                  l_i = position_embeddings.learned[i]                                                                the second half
//   shapes         s, l: [longest sequence of the batch, hidden / 2]; position_embeddings.learned [max_length, hidden / 2]
//   parameters     max_length * hidden / 2
//   cost           one row added per token; nothing in attention
//   property       absolute, as both of its halves: the waves have distances in their inner products, the rows can say anything about a position
//   extrapolation  the waves go on; the rows end, and `beyond` says what stands past them, with the meanings that absolute.cpp gives (zero, clip,
//                  tile, random, interp, hier, error). With zero, the waves alone remain, in a vector that training never saw half empty:
//                  that a part of it is fixed does not by itself make a model extrapolate
//   source         an open question of one of the notes ("part fixed, part learned"); its halves: Vaswani et al. 2017, arXiv:1706.03762, and
//                  Devlin et al. 2019, arXiv:1810.04805
#include <numeric>

#include "model/error.h"
#include "model/position/learned_table.h"
#include "model/position/position_encoding.h"
#include "model/position/waves.h"

namespace locus {
namespace {

class Hybrid : public PositionEncoding {
public:
    Hybrid(std::int64_t half, double base, double scale, LearnedTable table)
        : half_(half), base_(base), scale_(scale), table_(std::move(table)) {}

    void declare_embedding_parameters(Parameters& parameters, const std::string& prefix) override {
        table_.declare(parameters, prefix + "position_embeddings.learned.weight", Initialization::normal);
    }

    std::int64_t longest_sequence() const override { return table_.longest_sequence(); }
    std::string untrained_rows(std::int64_t length) const override { return table_.untrained_rows(length); }

    Var embed(Tape& tape, Var x, const ModelInput& input) const override {
        const std::int64_t length = input.longest;
        const Tensor fixed = waves(tape, {length, half_}, x.value().dtype, base_, scale_);
        const Tensor all = tape.host_tensor({length}, DType::int32);
        std::iota(all.as<std::int32_t>(), all.as<std::int32_t>() + length, 0);
        const Var learned = table_.add_rows(tape, zeros(tape, fixed), all, length);
        const Var rows = concatenate_columns(tape, tape.constant(fixed), learned);
        return embedding(tape, {{.table = rows, .ids = input.rows.positions}}, x);
    }

private:
    std::int64_t half_;
    double base_, scale_;
    LearnedTable table_;
};

std::unique_ptr<PositionEncoding> make_hybrid(const ModelSettings& model, const PositionSettings& position) {
    const double base = std::get<double>(position.options.at("base"));
    const double scale = std::get<double>(position.options.at("scale"));
    const std::int64_t columns = model.embedding_columns();
    if (!(base > 1.0)) throw ModelError("model.position.base of hybrid must be above 1");
    if (!(scale > 0.0)) throw ModelError("model.position.scale of hybrid must be above 0");
    if (columns % 2 != 0)
        throw ModelError("model.position: hybrid halves the " + std::to_string(columns) +
                         " columns of the embeddings; make them even");
    LearnedTable table("hybrid", {model.max_length, columns / 2}, model.initializer_range,
                       std::get<std::string>(position.options.at("beyond")),
                       std::get<double>(position.options.at("hier_alpha")));
    return std::make_unique<Hybrid>(columns / 2, base, scale, std::move(table));
}

}  // namespace

EncodingEntry hybrid_encoding() {
    return {.name = "hybrid",
            .summary = "half sinusoidal, half learned: a fixed part that goes on, and a trained part that ends",
            .options = {{.name = "base", .initial = 10000.0, .choices = {}, .help = "of the waves, above 1"},
                        {.name = "scale", .initial = 0.02, .choices = {}, .help = "amplitude of the waves, above 0"},
                        {.name = "beyond",
                         .initial = std::string("zero"),
                         .choices = {"error", "clip", "tile", "zero", "random", "interp", "hier"},
                         .help = "what stands past the last learned row"},
                        {.name = "hier_alpha",
                         .initial = 0.4,
                         .choices = {},
                         .help = "weight of the coarse position, for beyond: hier"}},
            .make = make_hybrid};
}

}  // namespace locus
