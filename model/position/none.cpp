// none: no position at all; the baseline that every comparison needs.
//
//   formula        x_i = word[id_i] + type[t_i]: nothing is added, nothing enters the attention
//   parameters     0
//   cost           0
//   property       permuting the tokens permutes the outputs and changes nothing else
//   extrapolation  any length; there is nothing to run out of
//   source         Haviv et al. 2022, arXiv:2203.16634 (masked models without positions learn little more than a bag of words)
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class None : public PositionEncoding {
public:
    bool is_symmetric() const override { return true; }
};

}  // namespace

EncodingEntry none_encoding() {
    return {.name = "none",
            .summary = "no position at all; the baseline that every comparison needs",
            .options = {},
            .make = [](const ModelSettings&, const PositionSettings&) -> std::unique_ptr<PositionEncoding> {
                return std::make_unique<None>();
            }};
}

}  // namespace locus
