#pragma once
// SIGINT and SIGTERM ask for an orderly end: the loop looks at the flag after each micro-batch and each evaluation batch, saves a checkpoint and
// leaves with code 130 or 143. A second one ends the process at once.

namespace locus {

/// Thrown where work is given up because a signal asked for it. Not a std::exception: no handler of errors may swallow it.
struct Interrupted {
    int signal;
};

/// While it lives, SIGINT and SIGTERM set the flag, and a file-size limit or a closed pipe is an error of the write instead of a death.
class SignalGuard {
public:
    SignalGuard();
    ~SignalGuard();
    SignalGuard(const SignalGuard&) = delete;
    SignalGuard& operator=(const SignalGuard&) = delete;
};

/// The signal that came since the guard was made; 0: none.
int pending_signal();
/// Throws Interrupted when a signal came.
void check_signals();
/// "SIGINT", "SIGTERM".
const char* signal_name(int signal);

}  // namespace locus
