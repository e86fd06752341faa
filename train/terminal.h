#pragma once
// Standard error as a place for lines and, on a terminal, one status line that is rewritten below them. Elsewhere (a pipe, a file, TERM=dumb)
// there is no status line and no control code at all; NO_COLOR turns colours off.

#include <mutex>
#include <string>
#include <string_view>

namespace locus {

class Terminal {
public:
    /// `interactive`: file is a terminal that understands "go to the start of the line, erase it". `colour`: as NO_COLOR wants.
    Terminal(int file, bool interactive, bool colour) : file_(file), interactive_(interactive), colour_(colour) {}

    /// Standard error.
    static Terminal& standard();

    bool interactive() const { return interactive_; }
    /// Width in columns now (80 where it cannot be asked).
    int columns() const;

    /// A line that stays, above the status line.
    void line(std::string_view text, bool warning = false);
    /// Replaces the status line; cut to the width. Nothing when not interactive.
    void status(std::string_view text);
    void clear_status() { status({}); }

private:
    void write(const std::string& text) const;

    int file_;
    bool interactive_, colour_;
    std::mutex mutex_;
    std::string status_;
};

}  // namespace locus
