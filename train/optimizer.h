#pragma once
// AdamW over all parameters of a model, and gradient clipping by the global norm.

#include <cstdint>

#include "kernels/memory.h"
#include "model/autograd/parameter.h"
#include "train/settings.h"

namespace locus {

class Optimizer {
public:
    /// Moments start at zero.
    Optimizer(const OptimizerSettings& settings, Parameters& parameters);

    /// Takes the moments to where the parameters have gone. Throws GpuError.
    void move_to(Device device);

    /// Measures the gradients' norm over all parameters, for what follows; nobody waits. One that is not finite stays: from then on updates
    /// change nothing, until squares() is filled with zeros.
    void measure_gradient_norm();
    /// The norm last measured. Waits for a GPU; throws what wait_for() throws.
    double gradient_norm() const;
    /// Its square, where the parameters lie: float64 [1].
    Tensor squares() const;
    /// One update: `step` from 1, `learning_rate` of this step. A gradient whose norm, as last measured, is larger than `clip` is scaled down
    /// to it. Decay applies to the parameters that ask for it. Nobody waits.
    void update(std::int64_t step, double learning_rate);

    /// First and second moments: [count], in the order of the parameters.
    Tensor m() const;
    Tensor v() const;

private:
    Tensor run_ends() const;

    OptimizerSettings settings_;
    Parameters& parameters_;
    Device device_ = Device::cpu;
    Buffer m_, v_, squares_;
    Buffer run_ends_;  // of parameters that agree about decay
    std::int64_t runs_ = 0;
};

}  // namespace locus
