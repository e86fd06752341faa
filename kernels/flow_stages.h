#pragma once
// The methods that flow.h takes its steps by.

#include <array>
#include <cstdint>

#include "kernels/flow.h"

namespace locus::LOCUS_TARGET {

/// A Runge-Kutta method whose every stage starts from the one before.
struct Stages {
    std::int64_t count;
    std::array<double, 4> place;   // in the step, of each stage
    std::array<double, 4> weight;  // in the sum
};

inline Stages stages_of(Solver solver) {
    if (solver == Solver::euler) return {1, {0, 0, 0, 0}, {1, 0, 0, 0}};
    return {4, {0, 0.5, 0.5, 1}, {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6}};
}

}  // namespace locus::LOCUS_TARGET
