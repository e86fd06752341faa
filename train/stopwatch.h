#pragma once
// Time between two moments.

#include <chrono>

namespace locus {

class Stopwatch {
public:
    /// Seconds since the last call, at first since it was made.
    double lap() {
        const Clock::time_point now = Clock::now();
        const double seconds = std::chrono::duration<double>(now - start_).count();
        start_ = now;
        return seconds;
    }

private:
    using Clock = std::chrono::steady_clock;
    Clock::time_point start_ = Clock::now();
};

}  // namespace locus
