// randomized: in training, tokens stand at random places of a longer range, in their order. A wrapper around the other encodings of the list.
//
//   formula        i_0 < i_1 < ... < i_{n-1}, a random subset of 0 .. range - 1, every one equally likely, drawn anew for each sequence and
//                  each step. All encodings of the model see these positions instead of 0 .. n - 1. Drawn by going through the range once: place
//                  t is taken with probability (still to be placed) / (places left) (Knuth's algorithm S)
//   parameters     0
//   cost           a random number per place of the range and sequence. Positions no longer run on by one, so that terms by distance are
//                  computed pair by pair, without the band of attention.cpp: with tables of vectors that is slow
//   property       "further right" keeps its meaning, "the next one" loses it: neighbours stand range / n apart on average, at any distance.
//                  Alone in the list it does nothing: something has to look at the positions
//   extrapolation  as far as range: its places and distances have all been seen. A table needs a row for each: range may not exceed
//                  max_length beside absolute or tupe, and training sequences may not exceed range; 0 is max_length. Take max_length as the
//                  length to be reached, data.sequence_length as the one to train with
//   options        evaluation: in_order gives the places 0 .. n - 1 outside training, where neighbours are closer than training mostly had them,
//                  at any length; drawn draws there as well, always the same places, and then range is the longest sequence
//   source         Ruoss et al. 2023, arXiv:2305.16843
#include <algorithm>

#include "kernels/random.h"
#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class Randomized : public PositionEncoding {
public:
    Randomized(std::int64_t range, bool always) : range_(range), always_(always) {}

    std::int64_t longest_sequence() const override { return always_ ? range_ : 0; }
    std::int64_t drawn_positions() const override { return range_; }

    ModelInput renumber(Tape& tape, const ModelInput& input, const RunMode& mode) const override {
        if (!mode.training && !always_) return input;
        ModelInput placed = input;
        placed.rows.positions = tape.host_tensor(input.rows.positions.shape, DType::int32);
        placed.longest = 0;
        const std::int32_t* const begin = input.rows.offsets.as<std::int32_t>();
        for (std::int64_t s = 0; s + 1 < input.rows.offsets.count(); ++s) {
            const std::int64_t count = begin[s + 1] - begin[s];
            if (count == 0) continue;
            check_length(count);
            std::int32_t* const places = placed.rows.positions.as<std::int32_t>() + begin[s];
            draw(places, count, {mode.seed, stream_positions}, number_of(input, s), mode.step);
            placed.longest = std::max<std::int64_t>(placed.longest, places[count - 1] + 1);
        }
        tape.record({}, [] {});  // the positions belong to no operation: they stay until the tape is cleared
        return placed;
    }

private:
    void check_length(std::int64_t count) const {
        if (count <= range_) return;
        throw ModelError("a sequence of " + std::to_string(count) + " tokens has no room in the " +
                         std::to_string(range_) + " positions of randomized; raise model.position.range");
    }

    // Of a sequence in the global batch, so that micro-batches draw what one large batch would; without it, in this batch.
    static std::uint32_t number_of(const ModelInput& input, std::int64_t s) {
        if (!input.dropout_rows.sequence) return static_cast<std::uint32_t>(s);
        const std::int32_t first = input.rows.offsets.as<std::int32_t>()[s];
        return static_cast<std::uint32_t>(input.dropout_rows.sequence.as<std::int32_t>()[first]);
    }

    void draw(std::int32_t* places, std::int64_t count, PhiloxKey key, std::uint32_t sequence,
              std::uint32_t step) const {
        Philox4 bits = {};
        std::int64_t taken = 0;
        for (std::int64_t place = 0; taken < count; ++place) {
            const auto t = static_cast<std::uint32_t>(place);
            if (t % 4 == 0) bits = philox(key, {t / 4, sequence, step, 1});
            const auto left = static_cast<std::uint32_t>(range_ - place);
            if (below(bits[t % 4], left) < static_cast<std::uint32_t>(count - taken))
                places[taken++] = static_cast<std::int32_t>(place);
        }
    }

    std::int64_t range_;
    bool always_;
};

std::unique_ptr<PositionEncoding> make_randomized(const ModelSettings& model, const PositionSettings& position) {
    const auto range = std::get<std::int64_t>(position.options.at("range"));
    if (range < 0) throw ModelError("model.position.range of randomized must not be negative");
    return std::make_unique<Randomized>(range == 0 ? model.max_length : range,
                                        std::get<std::string>(position.options.at("evaluation")) == "drawn");
}

}  // namespace

EncodingEntry randomized_encoding() {
    return {.name = "randomized",
            .summary = "in training, tokens stand at random places of a longer range, in their order",
            .options = {{.name = "range",
                         .initial = std::int64_t{0},
                         .choices = {},
                         .help = "how many places there are; 0: model.max_length"},
                        {.name = "evaluation",
                         .initial = std::string("in_order"),
                         .choices = {"in_order", "drawn"},
                         .help = "places outside training"}},
            .terms = {ScoreTerm::positions},
            .make = make_randomized};
}

}  // namespace locus
