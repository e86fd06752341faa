#include "train/phase_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "train/text_table.h"

namespace locus {
namespace {

// Seconds that each ceiling allows.
struct Allowed {
    double multiply_adds, memory;
    double seconds() const { return std::max(multiply_adds, memory); }
    bool is_memory() const { return memory >= multiply_adds; }
};

Allowed allowed_for(const Cost& cost, const ClockedStep& step) {
    return {cost.flops / (1e9 * step.peak_gflops), cost.bytes / (1e9 * step.copy_gigabytes)};
}

// A row without its share.
PhaseRow row_of(const std::vector<ClockedStep>& steps, Phase phase, Pass pass) {
    PhaseRow row = {.phase = name_of(phase), .pass = name_of(pass)};
    std::vector<double> seconds, allowed, reached;
    std::size_t bound_by_memory = 0;
    for (const ClockedStep& step : steps) {
        const PhaseWork& work = step.work.at(phase, pass);
        const Allowed ceilings = allowed_for(work.cost, step);
        seconds.push_back(work.seconds);
        allowed.push_back(ceilings.seconds());
        reached.push_back(work.seconds > 0 ? ceilings.seconds() / work.seconds : 0);
        bound_by_memory += ceilings.is_memory() ? 1 : 0;
        row.cost = row.cost + (1.0 / static_cast<double>(steps.size())) * work.cost;
    }
    row.seconds = median(seconds);
    row.allowed_seconds = median(allowed);
    row.reached = median(reached);
    if (row.allowed_seconds > 0) row.limit = 2 * bound_by_memory >= steps.size() ? "memory" : "multiply-adds";
    return row;
}

bool was_entered(const std::vector<ClockedStep>& steps, Phase phase, Pass pass) {
    return std::any_of(steps.begin(), steps.end(),
                       [&](const ClockedStep& step) { return step.work.at(phase, pass).seconds > 0; });
}

}  // namespace

std::vector<PhaseRow> phase_rows(const std::vector<ClockedStep>& steps, double step_seconds) {
    std::vector<PhaseRow> rows;
    double left = step_seconds;
    for (int pass = 0; pass < pass_count; ++pass) {
        for (int phase = 0; phase < static_cast<int>(Phase::rest); ++phase) {
            if (!was_entered(steps, static_cast<Phase>(phase), static_cast<Pass>(pass))) continue;
            rows.push_back(row_of(steps, static_cast<Phase>(phase), static_cast<Pass>(pass)));
            left -= rows.back().seconds;
        }
    }
    rows.push_back({.phase = name_of(Phase::rest), .pass = "", .seconds = left});
    for (PhaseRow& row : rows) row.share = row.seconds / step_seconds;
    return rows;
}

std::string phase_text(const std::vector<PhaseRow>& rows) {
    std::vector<std::vector<std::string>> cells = {
        {"phase", "pass", "limit", "ms", "share", "GFLOP", "MB", "allowed ms", "reached"}};
    for (const PhaseRow& row : rows) {
        cells.push_back({row.phase, row.pass, row.limit, fmt::format("{:.2f}", 1e3 * row.seconds),
                         fmt::format("{:.1f}%", 100 * row.share)});
        for (int column = 5; column < 9; ++column) cells.back().emplace_back();
        if (row.limit.empty()) continue;
        cells.back()[5] = fmt::format("{:.2f}", row.cost.flops * 1e-9);
        cells.back()[6] = fmt::format("{:.1f}", row.cost.bytes * 1e-6);
        cells.back()[7] = fmt::format("{:.2f}", 1e3 * row.allowed_seconds);
        cells.back()[8] = fmt::format("{:.0f}%", 100 * row.reached);
    }
    return text_table(cells, 3, "  ");
}

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    const std::size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace locus
