#pragma once
// Where the time of training steps goes, phase by phase, beside the time that the machine allows: its roofline (Williams, Waterman and Patterson 2009), with
// both ceilings measured in the same seconds as the steps.
//
//   allowed = max(FLOP / peak of float32 multiply-adds, bytes / rate of copying)          reached = allowed / measured
//
// Above 1 is no mistake: products in bfloat16 have a higher peak, and a tensor may still be in a cache.

#include <string>
#include <vector>

#include "model/autograd/step_clock.h"

namespace locus {

/// A step, and what the machine did meanwhile.
struct ClockedStep {
    StepWork work = {};
    double peak_gflops = 0;     // kernels/fma_peak.h
    double copy_gigabytes = 0;  // per second; kernels/copy_bandwidth.h
};

struct PhaseRow {
    std::string phase, pass;     // the last row, "the rest", has no pass
    double seconds = 0;          // median over the steps
    double share = 0;            // of the step
    Cost cost = {};              // mean over the steps
    double allowed_seconds = 0;  // median
    double reached = 0;          // median; 0 where nothing is counted
    std::string limit = {};      // "multiply-adds" or "memory"; empty where nothing is counted
};

/// The phases that the steps went through, in the order of a step. "The rest" is what is missing to `step_seconds`, the median of whole steps: the
/// time between the phases, and what medians leave over, which may be less than nothing.
std::vector<PhaseRow> phase_rows(const std::vector<ClockedStep>& steps, double step_seconds);

/// The rows as lines of a table, under headings.
std::string phase_text(const std::vector<PhaseRow>& rows);

/// Of an even number the mean of the two in the middle; of none 0.
double median(std::vector<double> values);

}  // namespace locus
