#include "train/inference_speed.h"

#include "kernels/device.h"
#include "train/batch_tensors.h"
#include "train/stopwatch.h"

namespace locus {
namespace {

template <class Pass>
double seconds_of(std::span<const TokenBatch> batches, Arena& arena, Pass pass) {
    Stopwatch watch;
    BatchTensors tensors;
    for (const TokenBatch& batch : batches) {
        if (batch.masked() == 0) continue;
        tensors.fill(batch, 0);
        Tape tape(arena);
        tape.set_recording(false);
        pass(tape, tensors);
    }
    wait_for(arena.device());
    return watch.lap();
}

}  // namespace

InferenceTimes time_inference(const MaskedLanguageModel& model, std::span<const TokenBatch> batches, Arena& arena) {
    const auto logits = [&](Tape& tape, const BatchTensors& tensors, const Tensor& rows) {
        model.logits(tape, model.encode(tape, tensors.input(), RunMode{}), tensors.input(), rows);
    };
    return {
        .evaluate = seconds_of(batches, arena,
                               [&](Tape& tape, const BatchTensors& tensors) {
                                   model.masked_lm_loss(tape, tensors.input(), tensors.targets(), 1.0, RunMode{});
                               }),
        .fill =
            seconds_of(batches, arena,
                       [&](Tape& tape, const BatchTensors& tensors) { logits(tape, tensors, tensors.targets().rows); }),
        .forward =
            seconds_of(batches, arena, [&](Tape& tape, const BatchTensors& tensors) { logits(tape, tensors, {}); }),
    };
}

}  // namespace locus
