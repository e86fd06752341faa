#include "model/autograd/step_clock.h"

#include "kernels/device.h"

namespace locus {

double StepWork::seconds() const {
    double sum = 0;
    for (const PhaseWork& work : table_) sum += work.seconds;
    return sum;
}

void StepClock::start() {
    work_ = {};
    phase_ = Phase::rest;
    pass_ = Pass::update;
    wait_for(device_);
    since_ = Clock::now();
}

void StepClock::enter(Phase phase, Pass pass) {
    stop();
    phase_ = phase;
    pass_ = pass;
}

void StepClock::stop() {
    wait_for(device_);
    const Clock::time_point now = Clock::now();
    work_.at(phase_, pass_).seconds += std::chrono::duration<double>(now - since_).count();
    since_ = now;
}

void StepClock::add(Phase phase, Pass pass, const Cost& cost) {
    Cost& sum = work_.at(phase, pass).cost;
    sum = sum + cost;
}

}  // namespace locus
