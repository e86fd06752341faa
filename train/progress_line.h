#pragma once
// How training gets on, as one line of text: rewritten in place on a terminal, written now and then elsewhere.

#include <chrono>
#include <cstdint>
#include <string>

namespace locus {

struct Progress {
    std::int64_t step = 0, steps = 0;
    double loss = 0;  // smoothed
    double tokens_per_second = 0;
    double flops_per_second = 0;
    double data_wait = 0;      // share of the time spent waiting for batches, 0..1
    double seconds_left = -1;  // evaluations and checkpoints included; negative: not known yet
};

/// "step 1200/2000  loss 3.214  15.2k tokens/s  85.1 GFLOP/s  data wait 0%  3m12s left, done 14:05". Fields that do not fit into
/// `columns` are left out, the least important first.
std::string progress_text(const Progress& progress, int columns);

/// "45s", "3m12s", "2h05m", "3d04h".
std::string duration_text(double seconds);
/// "950", "15.2k", "3.10M".
std::string quantity_text(double value);

/// Shows Progress at a bearable rate.
class ProgressLine {
public:
    ~ProgressLine() { clear(); }
    /// `at_log_step`: a line may be written where there is no terminal.
    void show(const Progress& progress, bool at_log_step);
    /// What is being done besides training, on a terminal: "validation 12/40".
    static void show_activity(const std::string& what, std::int64_t done, std::int64_t total);
    static void clear();

private:
    using Clock = std::chrono::steady_clock;
    Clock::time_point shown_{}, written_{};
    bool any_written_ = false;
};

/// An exponential mean whose first values count fully: what the line shows instead of the jumping loss of single steps.
class SmoothedLoss {
public:
    void add(double loss) {
        weight_ = decay * weight_ + (1 - decay);
        sum_ = decay * sum_ + (1 - decay) * loss;
    }
    double value() const { return weight_ > 0 ? sum_ / weight_ : 0; }

private:
    static constexpr double decay = 0.95;
    double sum_ = 0, weight_ = 0;
};

}  // namespace locus
