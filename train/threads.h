#pragma once
// How many threads to compute with.

#include <cstdint>

namespace locus {

/// Cores that this process may use: the affinity mask, and no more than the processor quota of its control group (containers).
int usable_cores();

/// Sets the number of OpenMP threads: `asked`, or, for 0, what OMP_NUM_THREADS says, else usable_cores(). Returns it.
int use_threads(std::int64_t asked);

}  // namespace locus
