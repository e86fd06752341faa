#include "train/length_evaluation.h"

#include <algorithm>

#include <fmt/format.h>

#include "data/error.h"
#include "kernels/memory.h"
#include "kernels/random.h"
#include "train/batch_tensors.h"
#include "train/signals.h"

namespace locus {

namespace {

constexpr std::int64_t replicates = 1000;

void add_batch(const MaskedLanguageModel& model, const TokenBatch& batch, BatchTensors& tensors, Arena& arena,
               std::vector<SequenceLoss>& losses) {
    const std::size_t first = losses.size();
    losses.resize(first + static_cast<std::size_t>(batch.sequences()));
    if (batch.masked() == 0) return;
    tensors.fill(batch, 0);
    Tape tape(arena);
    tape.set_recording(false);
    const MaskedLoss result = model.masked_lm_loss(tape, tensors.input(), tensors.targets(), 1.0, RunMode{});
    std::size_t sequence = 0;
    for (std::size_t m = 0; m < batch.masked_rows.size(); ++m) {
        while (batch.masked_rows[m] >= batch.offsets[sequence + 1]) ++sequence;
        SequenceLoss& sum = losses[first + sequence];
        sum.loss += result.loss.as<double>()[m];
        sum.correct += result.correct.as<std::int32_t>()[m];
        ++sum.masked;
    }
}

/// The loss of one draw of sequences with replacement.
double redrawn_loss(const std::vector<SequenceLoss>& losses, std::uint32_t seed, std::uint32_t replicate) {
    const auto count = static_cast<std::uint32_t>(losses.size());
    double loss = 0;
    std::int64_t masked = 0;
    for (std::uint32_t draw = 0; draw < count; draw += 4) {
        const Philox4 bits = philox({seed, stream_bootstrap}, {draw / 4, replicate, 0, 0});
        for (std::uint32_t lane = 0; lane < std::min(4U, count - draw); ++lane) {
            const SequenceLoss& drawn = losses[below(bits[lane], count)];
            loss += drawn.loss;
            masked += drawn.masked;
        }
    }
    return masked > 0 ? loss / static_cast<double>(masked) : 0;
}

std::string beyond_of(const ModelSettings& model) {
    for (const PositionSettings& position : model.position) {
        const auto option = position.options.find("beyond");
        if (option != position.options.end() && std::holds_alternative<std::string>(option->second))
            return std::get<std::string>(option->second);
    }
    return {};
}

std::string names_of(const ModelSettings& model) {
    std::string names;
    for (const PositionSettings& position : model.position) names += (names.empty() ? "" : "+") + position.encoding;
    return names;
}

}  // namespace

std::vector<SequenceLoss> sequence_losses(const MaskedLanguageModel& model, const Batches& batches,
                                          std::int64_t batch_size, std::int64_t samples,
                                          const std::function<void(std::int64_t, std::int64_t)>& progress) {
    const std::int64_t count = samples > 0 ? std::min(samples, batches.samples()) : batches.samples();
    std::vector<SequenceLoss> losses;
    TokenBatch batch;
    BatchTensors tensors;
    Arena arena;
    for (std::int64_t first = 0; first < count; first += batch_size) {
        check_signals();
        batches.validation(first, std::min(batch_size, count - first), batch);
        add_batch(model, batch, tensors, arena, losses);
        if (progress) progress(std::min(count, first + batch_size), count);
    }
    return losses;
}

LengthResult summarise_length(std::int64_t length, const std::vector<SequenceLoss>& losses, std::uint32_t seed) {
    LengthResult result;
    result.length = length;
    result.sequences = static_cast<std::int64_t>(losses.size());
    double loss = 0;
    std::int64_t correct = 0;
    for (const SequenceLoss& sequence : losses) {
        loss += sequence.loss;
        correct += sequence.correct;
        result.masked += sequence.masked;
    }
    if (result.masked == 0) throw DataError("the text has no token that could be masked; give it more text");
    result.loss = loss / static_cast<double>(result.masked);
    result.masked_accuracy = static_cast<double>(correct) / static_cast<double>(result.masked);
    std::vector<double> redrawn;
    for (std::uint32_t replicate = 0; replicate < replicates; ++replicate)
        redrawn.push_back(redrawn_loss(losses, seed, replicate));
    std::sort(redrawn.begin(), redrawn.end());
    result.loss_ci_low = redrawn[replicates * 25 / 1000];
    result.loss_ci_high = redrawn[replicates * 975 / 1000 - 1];
    return result;
}

std::string length_csv(const ModelSettings& model, std::int64_t train_length,
                       const std::vector<LengthResult>& results) {
    std::string csv =
        "encoding,beyond,train_length,length,scheme,bucket,bucket_begin,bucket_end,loss,masked_accuracy,masked_tokens,"
        "loss_ci_low,"
        "loss_ci_high\n";
    for (const LengthResult& result : results) {
        csv +=
            fmt::format("{},{},{},{},chunked,all,0,{},{},{},{},{},{}\n", names_of(model), beyond_of(model),
                        train_length > 0 ? std::to_string(train_length) : std::string(), result.length, result.length,
                        result.loss, result.masked_accuracy, result.masked, result.loss_ci_low, result.loss_ci_high);
    }
    return csv;
}

}  // namespace locus
