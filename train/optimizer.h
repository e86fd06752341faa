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

    /// The gradients' norm, over all parameters.
    double gradient_norm() const;
    /// One update: `step` from 1, `learning_rate` of this step, `gradient_norm` as measured (clipping scales by clip / norm when the norm is
    /// larger). Decay applies to the parameters that ask for it.
    void update(std::int64_t step, double learning_rate, double gradient_norm);

    /// First and second moments: [count], in the order of the parameters.
    Tensor m() const;
    Tensor v() const;

private:
    OptimizerSettings settings_;
    Parameters& parameters_;
    Device device_ = Device::cpu;
    Buffer m_, v_;
};

}  // namespace locus
