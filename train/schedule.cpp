#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "kernels/tensor.h"
#include "train/error.h"

namespace locus {

double learning_rate(const ScheduleSettings& schedule, double peak, std::int64_t step, std::int64_t steps) {
    LOCUS_CHECK(schedule.warmup >= 0 && step >= 1, "learning_rate", "warmup must be resolved and steps start at 1");
    const double t = static_cast<double>(step);
    const double warmup = static_cast<double>(schedule.warmup);
    if (step <= schedule.warmup) return peak * t / warmup;

    const double fraction = schedule.final_fraction;
    const double left = std::max(static_cast<double>(steps) - t, 0.0);
    const double span = std::max(static_cast<double>(steps) - warmup, 1.0);
    if (schedule.type == "constant") return peak;
    if (schedule.type == "linear") return peak * (fraction + (1 - fraction) * left / span);
    if (schedule.type == "cosine") {
        const double done = std::min((t - warmup) / span, 1.0);
        return peak * (fraction + (1 - fraction) * (1 + std::cos(std::numbers::pi * done)) / 2);
    }
    if (schedule.type == "inverse_sqrt") return peak * std::sqrt(std::max(warmup, 1.0) / t);
    if (schedule.type == "warmup_stable_decay") {
        const double decay = static_cast<double>(schedule.decay);
        LOCUS_CHECK(schedule.decay >= 0, "learning_rate", "decay must be resolved");
        if (left >= decay) return peak;
        return peak * (fraction + (1 - fraction) * left / decay);
    }
    throw ConfigurationError("train.schedule.type: there is no '" + schedule.type +
                             "'; known are constant, linear, cosine, inverse_sqrt, warmup_stable_decay");
}

}  // namespace locus
