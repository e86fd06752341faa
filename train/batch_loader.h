#pragma once
// The training batches of each step in turn, made by a thread of their own while the step before is being computed.

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "data/batches.h"
#include "train/settings.h"

namespace locus {

class BatchLoader {
public:
    /// Steps first_step .. settings.steps. Step n takes the sequences from (n - 1) * batch_size * gradient_accumulation on.
    BatchLoader(const BatchSource& batches, const TrainSettings& settings, std::int64_t first_step);
    ~BatchLoader();
    BatchLoader(const BatchLoader&) = delete;
    BatchLoader& operator=(const BatchLoader&) = delete;

    /// The micro-batches of the next step; valid until the next call. Throws what making them threw.
    std::span<const TokenBatch> next();
    /// How long next() waited, in all.
    double wait_seconds() const { return wait_seconds_; }

private:
    using MicroBatches = std::vector<TokenBatch>;
    void work();
    void prepare(std::int64_t step);
    MicroBatches& slot(std::int64_t step) { return slots_[static_cast<std::size_t>(step % 2)]; }

    const BatchSource& batches_;
    std::int64_t batch_size_, accumulation_, last_step_;
    std::array<MicroBatches, 2> slots_;
    double wait_seconds_ = 0;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::int64_t in_use_;    // step whose batches the caller holds
    std::int64_t prepared_;  // newest step that is ready
    bool stop_ = false;
    std::exception_ptr failure_;
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace locus
