#include "train/signals.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

namespace locus {
namespace {

std::atomic<int> pending{0};
static_assert(std::atomic<int>::is_always_lock_free, "the handler may not lock");

constexpr std::array<int, 4> handled = {SIGINT, SIGTERM, SIGXFSZ, SIGPIPE};
std::array<struct sigaction, handled.size()> previous;

extern "C" void on_signal(int signal) {
    int none = 0;
    if (!pending.compare_exchange_strong(none, signal)) _exit(128 + signal);
}

}  // namespace

SignalGuard::SignalGuard() {
    pending = 0;
    for (std::size_t n = 0; n < handled.size(); ++n) {
        struct sigaction action = {};
        const bool asks_to_stop = handled[n] == SIGINT || handled[n] == SIGTERM;
        action.sa_handler = asks_to_stop ? on_signal : SIG_IGN;
        action.sa_flags = SA_RESTART;
        sigemptyset(&action.sa_mask);
        sigaction(handled[n], &action, &previous[n]);
    }
}

SignalGuard::~SignalGuard() {
    for (std::size_t n = 0; n < handled.size(); ++n) sigaction(handled[n], &previous[n], nullptr);
}

int pending_signal() { return pending; }

void check_signals() {
    if (const int signal = pending_signal(); signal != 0) throw Interrupted{signal};
}

const char* signal_name(int signal) { return signal == SIGINT ? "SIGINT" : "SIGTERM"; }

}  // namespace locus
