#include "train/evaluation.h"

#include <algorithm>

#include "data/error.h"
#include "train/batch_tensors.h"

namespace locus {
namespace {

void add_batch(const MaskedLanguageModel& model, const TokenBatch& batch, BatchTensors& tensors, Arena& arena,
               double& loss_sum, std::int64_t& correct) {
    if (batch.masked() == 0) return;
    tensors.fill(batch, 0);
    Tape tape(arena);
    tape.set_recording(false);
    const MaskedLoss result =
        on_host(tape, model.masked_lm_loss(tape, tensors.input(), tensors.targets(), 1.0, RunMode{}));
    for (std::int64_t row = 0; row < batch.masked(); ++row) {
        loss_sum += result.loss.as<double>()[row];
        correct += result.correct.as<std::int32_t>()[row];
    }
}

}  // namespace

EvaluationResult evaluate(const MaskedLanguageModel& model, const BatchSource& batches, std::int64_t batch_size,
                          std::int64_t samples, Arena& arena, const EvaluationProgress& progress) {
    const std::int64_t count = samples > 0 ? std::min(samples, batches.samples()) : batches.samples();
    const std::int64_t total = (count + batch_size - 1) / batch_size;
    EvaluationResult result;
    TokenBatch batch;
    BatchTensors tensors;
    double loss_sum = 0;
    std::int64_t correct = 0;
    for (std::int64_t n = 0; n < total; ++n) {
        batches.validation(n * batch_size, std::min(batch_size, count - n * batch_size), batch);
        add_batch(model, batch, tensors, arena, loss_sum, correct);
        result.masked += batch.masked();
        result.tokens += batch.rows();
        if (progress && !progress(n + 1, total)) break;
    }
    if (result.masked == 0) throw DataError("the validation data have no token that could be masked; give more text");
    result.loss = loss_sum / static_cast<double>(result.masked);
    result.masked_accuracy = static_cast<double>(correct) / static_cast<double>(result.masked);
    return result;
}

}  // namespace locus
