#include "train/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>

namespace locus {
namespace {

constexpr const char* erase_line = "\r\x1b[K";
constexpr const char* yellow = "\x1b[33m";
constexpr const char* plain = "\x1b[0m";

bool is_set(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0';
}

}  // namespace

Terminal& Terminal::standard() {
    const char* kind = std::getenv("TERM");
    static Terminal terminal(STDERR_FILENO,
                             isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb",
                             !is_set("NO_COLOR"));
    return terminal;
}

int Terminal::columns() const {
    winsize size = {};
    if (ioctl(file_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

void Terminal::line(std::string_view text, bool warning) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool coloured = warning && interactive_ && colour_;
    std::string out = status_.empty() ? "" : erase_line;
    out += coloured ? yellow : "";
    out += text;
    out += coloured ? plain : "";
    write(out + '\n' + status_);
}

void Terminal::status(std::string_view text) {
    if (!interactive_) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (text.empty() && status_.empty()) return;
    // The last column stays free: writing into it makes some terminals wrap.
    status_ = text.substr(0, static_cast<std::size_t>(columns() - 1));
    write(erase_line + status_);
}

// A terminal that went away must not end a training run: failures are of no consequence here.
void Terminal::write(const std::string& text) const {
    std::string_view rest = text;
    while (!rest.empty()) {
        const ssize_t written = ::write(file_, rest.data(), rest.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return;
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace locus
