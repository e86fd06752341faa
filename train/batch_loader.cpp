#include "train/batch_loader.h"

#include <chrono>
#include <cstddef>

#include "kernels/tensor.h"

namespace locus {

BatchLoader::BatchLoader(const BatchSource& batches, const TrainSettings& settings, std::int64_t first_step)
    : batches_(batches),
      batch_size_(settings.batch_size),
      accumulation_(settings.gradient_accumulation),
      last_step_(settings.steps),
      in_use_(first_step - 1),
      prepared_(first_step - 1) {
    for (MicroBatches& slot : slots_) slot.resize(static_cast<std::size_t>(accumulation_));
    thread_ = std::thread([this] { work(); });
}

BatchLoader::~BatchLoader() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

std::span<const TokenBatch> BatchLoader::next() {
    const auto begin = std::chrono::steady_clock::now();
    std::unique_lock<std::mutex> lock(mutex_);
    LOCUS_CHECK(in_use_ < last_step_, "batch_loader", "no step is left");
    ++in_use_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return prepared_ >= in_use_ || failure_ != nullptr; });
    if (prepared_ < in_use_) std::rethrow_exception(failure_);
    wait_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return slot(in_use_);
}

void BatchLoader::work() {
    // Two slots: while the caller holds one, only the step after it may be made.
    for (std::int64_t step = prepared_ + 1; step <= last_step_; ++step) {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this, step] { return stop_ || step <= in_use_ + 1; });
        if (stop_) return;
        lock.unlock();
        try {
            prepare(step);
            lock.lock();
            prepared_ = step;
        } catch (...) {
            lock.lock();
            failure_ = std::current_exception();
        }
        changed_.notify_all();
        if (failure_ != nullptr) return;
    }
}

void BatchLoader::prepare(std::int64_t step) {
    std::int64_t first = (step - 1) * batch_size_ * accumulation_;
    for (TokenBatch& batch : slot(step)) {
        batches_.training(first, batch_size_, batch);
        first += batch_size_;
    }
}

}  // namespace locus
