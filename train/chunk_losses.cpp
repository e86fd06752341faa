#include "train/chunk_losses.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "train/error.h"

namespace locus {

std::vector<TargetLosses> ChunkLosses::compute(const MaskedLanguageModel& model, const std::vector<MaskedSample>& group,
                                               const std::vector<Chunk>& chunks, std::int64_t first_position,
                                               const TokensDone& done) {
    std::vector<TargetLosses> losses;
    for (const MaskedSample& window : group)
        losses.push_back({std::vector<double>(window.targets.size(), std::numeric_limits<double>::quiet_NaN()),
                          std::vector<char>(window.targets.size(), 0)});
    batch_.clear();
    places_.clear();
    const auto flush = [&] {
        const std::int64_t rows = batch_.rows();
        run(model, first_position, losses);
        if (done) done(rows);
    };
    for (std::size_t w = 0; w < group.size(); ++w) {
        for (const Chunk& chunk : chunks) {
            const std::int64_t more = chunk.end - chunk.begin + 2 * windows_.specials_before();
            if (batch_.rows() > 0 && batch_.rows() + more > tokens_at_once) flush();
            windows_.append(group[w], chunk, batch_);
            const TargetRange scored = scored_targets(group[w], chunk);
            for (std::size_t target = scored.first; target < scored.last; ++target) places_.push_back({w, target});
        }
    }
    flush();
    return losses;
}

void ChunkLosses::run(const MaskedLanguageModel& model, std::int64_t first_position,
                      std::vector<TargetLosses>& losses) {
    if (batch_.masked() == 0) return;
    tensors_.fill(batch_, 0, first_position);
    Tape tape(arena_);
    tape.set_recording(false);
    const MaskedLoss result =
        on_host(tape, model.masked_lm_loss(tape, tensors_.input(), tensors_.targets(), 1.0, RunMode{}));
    for (std::size_t row = 0; row < places_.size(); ++row) {
        const double loss = result.loss.as<double>()[row];
        if (!std::isfinite(loss)) {
            throw NotFiniteError(fmt::format("the loss of a masked token is {} in sequences of {} tokens", loss,
                                             tensors_.input().longest - first_position));
        }
        TargetLosses& window = losses[places_[row].window];
        window.loss[places_[row].target] = loss;
        window.correct[places_[row].target] = static_cast<char>(result.correct.as<std::int32_t>()[row]);
    }
    batch_.clear();
    places_.clear();
}

}  // namespace locus
