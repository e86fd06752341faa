#include "train/threads.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

namespace locus {

namespace {

/// Cores' worth of processor time that a control group grants; 0: no limit known.
double control_group_quota() {
    double quota = 0, period = 0;
    std::ifstream unified("/sys/fs/cgroup/cpu.max");  // "200000 100000" or "max 100000"
    if (unified >> quota >> period && period > 0) return quota / period;
    std::ifstream quota_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        period_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) return quota / period;
    return 0;
}

}  // namespace

int usable_cores() {
    const int cores = omp_get_num_procs();
    const double quota = control_group_quota();
    return quota > 0 ? std::clamp(static_cast<int>(std::ceil(quota)), 1, cores) : cores;
}

int use_threads(std::int64_t asked) {
    if (asked > 0) {
        omp_set_num_threads(static_cast<int>(asked));
    } else if (std::getenv("OMP_NUM_THREADS") == nullptr) {
        omp_set_num_threads(usable_cores());
    }
    return omp_get_max_threads();
}

}  // namespace locus
