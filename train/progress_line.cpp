#include "train/progress_line.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <ctime>

#include "train/log.h"
#include "train/terminal.h"

namespace locus {
namespace {

constexpr std::chrono::milliseconds between_redraws{100};
constexpr std::chrono::seconds between_lines{5};

std::string finish_text(double seconds_left) {
    const std::time_t finish = std::time(nullptr) + static_cast<std::time_t>(std::llround(seconds_left));
    std::tm clock = {};
    localtime_r(&finish, &clock);
    const char* format = seconds_left < 20 * 3600 ? "{:%H:%M}" : "{:%d %b %H:%M}";
    return fmt::format(fmt::runtime(format), clock);
}

}  // namespace

std::string duration_text(double seconds) {
    const auto whole = static_cast<std::int64_t>(std::llround(std::max(seconds, 0.0)));
    if (whole < 60) return fmt::format("{}s", whole);
    if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
    if (whole < 86400) return fmt::format("{}h{:02}m", whole / 3600, whole % 3600 / 60);
    return fmt::format("{}d{:02}h", whole / 86400, whole % 86400 / 3600);
}

std::string quantity_text(double value) {
    if (value < 1e3) return fmt::format("{:.0f}", value);
    if (value < 1e6) return fmt::format("{:.1f}k", value / 1e3);
    if (value < 1e9) return fmt::format("{:.2f}M", value / 1e6);
    return fmt::format("{:.2f}G", value / 1e9);
}

std::string progress_text(const Progress& progress, int columns) {
    struct Field {
        int importance;  // the smallest goes first
        std::string text;
    };
    const bool known = progress.seconds_left >= 0;
    std::array<Field, 7> fields = {{
        {7, fmt::format("step {}/{}", progress.step, progress.steps)},
        {6, fmt::format("loss {:.3f}", progress.loss)},
        {4, quantity_text(progress.tokens_per_second) + " tokens/s"},
        {2, fmt::format("{:.1f} GFLOP/s", progress.flops_per_second / 1e9)},
        {1, fmt::format("data wait {:.0f}%", 100 * progress.data_wait)},
        {5, known ? duration_text(progress.seconds_left) + " left" : ""},
        {3, known ? "done " + finish_text(progress.seconds_left) : ""},
    }};
    for (int least = 1;; ++least) {
        std::string text;
        for (const Field& field : fields) {
            if (field.importance < least || field.text.empty()) continue;
            text += (text.empty() ? "" : "  ") + field.text;
        }
        if (static_cast<int>(text.size()) < columns || least == static_cast<int>(fields.size())) return text;
    }
}

void ProgressLine::show(const Progress& progress, bool at_log_step) {
    const Clock::time_point now = Clock::now();
    Terminal& terminal = Terminal::standard();
    if (terminal.interactive() && now - shown_ >= between_redraws) {
        shown_ = now;
        terminal.status(progress_text(progress, terminal.columns()));
    }
    if (!at_log_step || (any_written_ && now - written_ < between_lines)) return;
    any_written_ = true;
    written_ = now;
    const std::string text = progress_text(progress, 1000);
    if (terminal.interactive()) {
        log_quietly(text);
    } else {
        log_line(text);
    }
}

void ProgressLine::show_activity(const std::string& what, std::int64_t done, std::int64_t total) {
    const std::string text = total > 0 ? fmt::format("{} {}/{}", what, done, total) : fmt::format("{} {}", what, done);
    Terminal::standard().status(text);
}

void ProgressLine::clear() { Terminal::standard().clear_status(); }

}  // namespace locus
