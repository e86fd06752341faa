// shape: in training, each sequence begins at a random position. A wrapper around the other encodings of the list.
//
//   formula        the token i of a sequence stands at i + o, o uniform in 0 .. K - 1, drawn anew for each sequence and each step;
//                  outside training o = 0
//                  K = offsets; with offsets 0 as many as max_length has room for, max_length - n + 1 for a sequence of n tokens
//   parameters     0
//   cost           one random number per sequence
//   property       an absolute encoding can no longer learn what "position 7" is, only how two positions differ: it becomes relative by
//                  practice. Nothing changes for an encoding that looks at distances alone; alone in the list it does nothing
//   extrapolation  a table's rows are all trained although sequences are shorter: up to n + K - 1 for training sequences of n tokens. But no
//                  distance above n - 1 has been seen. max_length must hold n + K - 1 positions beside absolute or tupe: take it as the length
//                  to be reached, data.sequence_length as the one to train with
//   source         Kiyono et al. 2021, arXiv:2109.05644. Its code evaluates at o = K, one further than training ever begins, so that the
//                  last position it looks at was never trained; here it is 0
#include <algorithm>

#include "kernels/random.h"
#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class ShiftedPositions : public PositionEncoding {
public:
    ShiftedPositions(std::int64_t offsets, std::int64_t max_length) : offsets_(offsets), max_length_(max_length) {}

    std::int64_t drawn_positions() const override { return offsets_; }

    ModelInput renumber(Tape& tape, const ModelInput& input, const RunMode& mode) const override {
        if (!mode.training) return input;
        ModelInput shifted = input;
        shifted.rows.positions = tape.host_tensor(input.rows.positions.shape, DType::int32);
        shifted.longest = 0;
        const auto *const begin = input.rows.offsets.as<std::int32_t>(), *const from =
                                                                             input.rows.positions.as<std::int32_t>();
        for (std::int64_t s = 0; s + 1 < input.rows.offsets.count(); ++s) {
            if (begin[s] == begin[s + 1]) continue;
            const std::int64_t last = from[begin[s + 1] - 1];
            const std::int32_t offset = draw(input.dropout_rows.sequence.as<std::int32_t>()[begin[s]], last, mode);
            for (std::int32_t row = begin[s]; row < begin[s + 1]; ++row)
                shifted.rows.positions.as<std::int32_t>()[row] = from[row] + offset;
            shifted.longest = std::max(shifted.longest, last + offset + 1);
        }
        tape.record({}, [] {});  // the positions belong to no operation: they stay until the tape is cleared
        return shifted;
    }

private:
    // For a sequence of the global batch whose last token stands at `last`.
    std::int32_t draw(std::int32_t sequence, std::int64_t last, const RunMode& mode) const {
        const std::int64_t count = offsets_ > 0 ? offsets_ : std::max<std::int64_t>(1, max_length_ - last);
        const Philox4 bits =
            philox({mode.seed, stream_positions}, {0, static_cast<std::uint32_t>(sequence), mode.step, 2});
        return static_cast<std::int32_t>(below(bits[0], static_cast<std::uint32_t>(count)));
    }

    std::int64_t offsets_, max_length_;
};

std::unique_ptr<PositionEncoding> make_shape(const ModelSettings& model, const PositionSettings& position) {
    const auto offsets = std::get<std::int64_t>(position.options.at("offsets"));
    if (offsets < 0) throw ModelError("model.position.offsets of shape must not be negative");
    return std::make_unique<ShiftedPositions>(offsets, model.max_length);
}

}  // namespace

EncodingEntry shape_encoding() {
    return {.name = "shape",
            .summary = "in training, each sequence begins at a random position",
            .options = {{.name = "offsets",
                         .initial = std::int64_t{0},
                         .choices = {},
                         .help = "how many there are; 0: as many as model.max_length has room for"}},
            .terms = {ScoreTerm::positions},
            .make = make_shape};
}

}  // namespace locus
