#pragma once
// The program itself, several times side by side: each command of a queue as a child process with one thread.
//
// Children are in process groups of their own, so that Ctrl-C reaches this process alone, which hands it on once; a child whose parent dies gets
// SIGTERM. Either way it saves a checkpoint.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace locus {

struct ChildCommand {
    std::vector<std::string> arguments;  // after the program's name
    std::filesystem::path output;        // what it prints, both streams; written anew
    std::size_t number = 0;              // of the run that it works for
};

struct ChildEnd {
    int code = 0;                  // exit code; 128 + signal when a signal ended it
    double seconds = 0;            // that it ran
    std::int64_t peak_memory = 0;  // bytes
};

/// Told when a command has ended; what it returns is started next.
using FollowUp = std::function<std::optional<ChildCommand>(const ChildCommand&, const ChildEnd&)>;

/// Runs the queue, `jobs` at a time, calling `tick` about once a second. Returns 0, or after SIGINT or SIGTERM the signal: it is handed to the children,
/// and their ends are still told. Needs a SignalGuard. Throws std::system_error when no process can be started; the children are stopped.
int run_side_by_side(std::deque<ChildCommand> queue, int jobs, const FollowUp& follow_up,
                     const std::function<void()>& tick);

/// What a failed program said: the text after its "error: ", up to the end of the line; empty when it said nothing.
std::string error_in(const std::filesystem::path& output);

}  // namespace locus
