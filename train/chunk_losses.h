#pragma once
// The loss of each target of a paired window, at one length: all its chunks through the model, many in a batch.

#include <cstdint>
#include <functional>
#include <vector>

#include "data/paired_windows.h"
#include "model/masked_language_model.h"
#include "train/batch_tensors.h"

namespace locus {

/// By target of a window, in the window's order.
struct TargetLosses {
    std::vector<double> loss;   // nats; NaN where no chunk scored the target
    std::vector<char> correct;  // 1: the likeliest token is the right one
};

/// Called with the tokens of each batch that was run.
using TokensDone = std::function<void(std::int64_t tokens)>;

/// Keeps its memory from call to call.
class ChunkLosses {
public:
    /// `device`: of the models to come.
    explicit ChunkLosses(const PairedWindows& windows, Device device = Device::cpu)
        : windows_(windows), arena_(device) {}

    /// Tokens of a batch, at least those of one chunk: enough for full speed, little memory.
    static constexpr std::int64_t tokens_at_once = 12288;

    /// One entry per window of `group`. `first_position`: where every chunk is said to begin. Throws NotFiniteError.
    std::vector<TargetLosses> compute(const MaskedLanguageModel& model, const std::vector<MaskedSample>& group,
                                      const std::vector<Chunk>& chunks, std::int64_t first_position,
                                      const TokensDone& done);

private:
    /// Whose losses the batch holds, by masked row.
    struct Place {
        std::size_t window, target;
    };

    void run(const MaskedLanguageModel& model, std::int64_t first_position, std::vector<TargetLosses>& losses);

    const PairedWindows& windows_;
    TokenBatch batch_;
    std::vector<Place> places_;
    BatchTensors tensors_;
    Arena arena_;
};

}  // namespace locus
