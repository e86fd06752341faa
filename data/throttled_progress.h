#pragma once
// Progress reports, five a second at most.

#include <chrono>
#include <utility>

#include "data/progress.h"

namespace locus {

class ThrottledProgress {
public:
    explicit ThrottledProgress(ProgressReport report) : report_(std::move(report)) {}

    void operator()(std::string_view what, std::int64_t done, std::int64_t total) {
        if (!report_) return;
        const auto now = std::chrono::steady_clock::now();
        if (now < next_ && done < total) return;
        next_ = now + std::chrono::milliseconds(200);
        report_(what, done, total);
    }

private:
    ProgressReport report_;
    std::chrono::steady_clock::time_point next_{};
};

}  // namespace locus
