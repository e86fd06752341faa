#include "train/optimizer.h"

#include <cmath>
#include <cstddef>
#include <utility>

#include "kernels/adamw.h"
#include "kernels/device.h"

namespace locus {
namespace {

Tensor range(const Tensor& all, std::int64_t begin, std::int64_t end) { return all.slice(0, begin, end); }

}  // namespace

Optimizer::Optimizer(const OptimizerSettings& settings, Parameters& parameters)
    : settings_(settings),
      parameters_(parameters),
      m_(static_cast<std::size_t>(parameters.count() * size_of(parameters.dtype()))),
      v_(static_cast<std::size_t>(parameters.count() * size_of(parameters.dtype()))) {}

Tensor Optimizer::m() const { return Tensor(m_.data(), {parameters_.count()}, parameters_.dtype(), device_); }
Tensor Optimizer::v() const { return Tensor(v_.data(), {parameters_.count()}, parameters_.dtype(), device_); }

void Optimizer::move_to(Device device) {
    if (device == device_) return;
    const Tensor m_before = m(), v_before = v();
    const Buffer m_kept = std::move(m_), v_kept = std::move(v_);
    device_ = device;
    m_ = Buffer(static_cast<std::size_t>(m_before.bytes()), device);
    v_ = Buffer(static_cast<std::size_t>(v_before.bytes()), device);
    copy(m_before, m());
    copy(v_before, v());
}

double Optimizer::gradient_norm() const {
    double squares = 0;
    sum_of_squares({.x = parameters_.gradients(), .result = &squares});
    return std::sqrt(squares);
}

void Optimizer::update(std::int64_t step, double learning_rate, double gradient_norm) {
    const bool clips = settings_.clip > 0 && gradient_norm > settings_.clip;
    // Parameters lie without gaps in the order of the list: neighbours that agree about decay are one run of the kernel.
    std::int64_t begin = 0;
    std::int64_t end = 0;
    const auto& all = parameters_.all();
    for (std::size_t n = 0; n < all.size(); ++n) {
        end += all[n].value.count();
        if (n + 1 < all.size() && all[n + 1].decay == all[n].decay) continue;
        adamw({.parameter = range(parameters_.values(), begin, end),
               .gradient = range(parameters_.gradients(), begin, end),
               .m = range(m(), begin, end),
               .v = range(v(), begin, end),
               .learning_rate = learning_rate,
               .beta1 = settings_.beta1,
               .beta2 = settings_.beta2,
               .epsilon = settings_.epsilon,
               .weight_decay = all[n].decay ? settings_.weight_decay : 0.0,
               .clip = clips ? settings_.clip / gradient_norm : 1.0,
               .step = step});
        begin = end;
    }
}

}  // namespace locus
