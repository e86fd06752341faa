#pragma once
// Learning rates as a pure function of the step.
//
//   warmup          lr * step / warmup                                          for step <= warmup (step from 1, so the first is not 0)
//   constant        lr
//   linear          lr * (f + (1 - f) (steps - step) / (steps - warmup))        f = final_fraction
//   cosine          lr * (f + (1 - f) (1 + cos(pi (step - warmup) / (steps - warmup))) / 2)
//   inverse_sqrt    lr * sqrt(max(warmup, 1) / step)
//   warmup_stable_decay   lr until steps - decay, then linear to lr * f

#include <cstdint>

#include "train/settings.h"

namespace locus {

/// Learning rate of `step` (1 <= step <= steps). The settings' -1 values must be resolved.
double learning_rate(const ScheduleSettings& schedule, double peak, std::int64_t step, std::int64_t steps);

}  // namespace locus
