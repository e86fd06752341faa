#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "kernels/adamw.h"
#include "kernels/device.h"

namespace locus {
namespace {

// Parameters lie without gaps in the order of the list: where decay begins or ceases to apply, and the end of all.
std::vector<std::int32_t> ends_of_runs(const Parameters& parameters) {
    std::vector<std::int32_t> ends;
    std::int64_t end = 0;
    const auto& all = parameters.all();
    for (std::size_t n = 0; n < all.size(); ++n) {
        end += all[n].value.count();
        if (n + 1 == all.size() || all[n + 1].decay != all[n].decay) ends.push_back(static_cast<std::int32_t>(end));
    }
    return ends;
}

Buffer copied(const Tensor& from, Device to) {
    Buffer memory(static_cast<std::size_t>(from.bytes()), to);
    copy(from, Tensor(memory.data(), from.shape, from.dtype, to));
    return memory;
}

}  // namespace

Optimizer::Optimizer(const OptimizerSettings& settings, Parameters& parameters)
    : settings_(settings),
      parameters_(parameters),
      m_(static_cast<std::size_t>(parameters.count() * size_of(parameters.dtype()))),
      v_(static_cast<std::size_t>(parameters.count() * size_of(parameters.dtype()))),
      squares_(sizeof(double)) {
    const std::vector<std::int32_t> ends = ends_of_runs(parameters);
    runs_ = static_cast<std::int64_t>(ends.size());
    run_ends_ = Buffer(ends.size() * sizeof(std::int32_t));
    std::copy(ends.begin(), ends.end(), run_ends().as<std::int32_t>());
}

Tensor Optimizer::m() const { return Tensor(m_.data(), {parameters_.count()}, parameters_.dtype(), device_); }
Tensor Optimizer::v() const { return Tensor(v_.data(), {parameters_.count()}, parameters_.dtype(), device_); }
Tensor Optimizer::squares() const { return Tensor(squares_.data(), {1}, DType::float64, device_); }
Tensor Optimizer::run_ends() const { return Tensor(run_ends_.data(), {runs_}, DType::int32, device_); }

void Optimizer::move_to(Device device) {
    if (device == device_) return;
    m_ = copied(m(), device);
    v_ = copied(v(), device);
    squares_ = copied(squares(), device);
    run_ends_ = copied(run_ends(), device);
    device_ = device;
}

void Optimizer::measure_gradient_norm() { sum_of_squares({.x = parameters_.gradients(), .result = squares()}); }

double Optimizer::gradient_norm() const {
    const HostCopy sum(squares());
    return std::sqrt(*sum.tensor().as<double>());
}

void Optimizer::update(std::int64_t step, double learning_rate) {
    adamw({.parameter = parameters_.values(),
           .gradient = parameters_.gradients(),
           .m = m(),
           .v = v(),
           .squares = squares(),
           .run_ends = run_ends(),
           .first_run_decays = parameters_.all().front().decay,
           .learning_rate = learning_rate,
           .beta1 = settings_.beta1,
           .beta2 = settings_.beta2,
           .epsilon = settings_.epsilon,
           .weight_decay = settings_.weight_decay,
           .clip = settings_.clip,
           .step = step});
}

}  // namespace locus
