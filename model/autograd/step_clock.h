#pragma once
// Where the time of a training step goes: a clock that is handed from phase to phase. Whoever enters a phase ends the one before, so that no moment
// between start() and stop() is lost and none is counted twice.

#include <array>
#include <chrono>
#include <cstddef>

#include "kernels/tensor.h"
#include "model/autograd/phase.h"

namespace locus {

/// What must be done at least: multiply-adds of products, which count as 2, and bytes that cross the memory, each tensor once when read and once when
/// written. Other arithmetic is not counted: at a few operations per byte it fits beside the traffic.
struct Cost {
    double flops = 0, bytes = 0;
};
constexpr Cost operator+(const Cost& a, const Cost& b) { return {a.flops + b.flops, a.bytes + b.bytes}; }
constexpr Cost operator*(double factor, const Cost& cost) { return {factor * cost.flops, factor * cost.bytes}; }

/// Cost of an operation on the way through the model and on the way back.
struct OperationCost {
    Cost forward = {}, backward = {};
};

constexpr OperationCost operator+(const OperationCost& a, const OperationCost& b) {
    return {a.forward + b.forward, a.backward + b.backward};
}

/// Seconds and costs of one phase in one pass.
struct PhaseWork {
    double seconds = 0;
    Cost cost = {};
};

/// All of a step.
class StepWork {
public:
    PhaseWork& at(Phase phase, Pass pass) { return table_[index(phase, pass)]; }
    const PhaseWork& at(Phase phase, Pass pass) const { return table_[index(phase, pass)]; }
    /// Of all phases and passes together.
    double seconds() const;

private:
    static constexpr std::size_t index(Phase phase, Pass pass) {
        return static_cast<std::size_t>(phase) * pass_count + static_cast<std::size_t>(pass);
    }
    std::array<PhaseWork, std::size_t{phase_count}* pass_count> table_ = {};
};

class StepClock {
public:
    /// On a GPU the clock waits for the device before it is read: each phase gets its time, and nothing runs while the processor prepares what follows.
    explicit StepClock(Device device = Device::cpu) : device_(device) {}

    /// Forgets everything; the time from here on belongs to Phase::rest.
    void start();
    /// The time up to here belongs to what was entered before, the time from here on to this.
    void enter(Phase phase, Pass pass);
    /// Ends what was entered last.
    void stop();

    void add(Phase phase, Pass pass, const Cost& cost);

    const StepWork& work() const { return work_; }

private:
    using Clock = std::chrono::steady_clock;

    Device device_;
    StepWork work_;
    Phase phase_ = Phase::rest;
    Pass pass_ = Pass::update;
    Clock::time_point since_{};
};

}  // namespace locus
