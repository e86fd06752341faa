#include "train/comparison/side_by_side.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <string_view>
#include <thread>
#include <utility>

#include "data/file_descriptor.h"
#include "train/signals.h"

namespace locus {

namespace {

using Clock = std::chrono::steady_clock;
constexpr const char* this_program = "/proc/self/exe";

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// In the child: never returns. Nothing here may allocate.
[[noreturn]] void become(char* const* arguments, char* const* environment, int output, pid_t parent) {
    constexpr int could_not_start = 127;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(128 + SIGTERM);  // it died before it could be watched
    const int nothing = open("/dev/null", O_RDONLY);
    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) _exit(could_not_start);
    execve(this_program, arguments, environment);
    _exit(could_not_start);
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

/// The environment, with one thread for OpenMP.
std::vector<std::string> environment_of_child() {
    const std::string threads = "OMP_NUM_THREADS=";
    std::vector<std::string> variables;
    for (char** variable = environ; *variable != nullptr; ++variable)
        if (std::string_view(*variable).substr(0, threads.size()) != threads) variables.emplace_back(*variable);
    variables.push_back(threads + "1");
    return variables;
}

/// A command that runs.
struct Child {
    pid_t process = 0;
    ChildCommand command;
    Clock::time_point begin = Clock::now();
};

Child start(ChildCommand command) {
    std::vector<std::string> arguments = command.arguments, environment = environment_of_child();
    arguments.insert(arguments.begin(), "locus");
    const std::vector<char*> argument_pointers = pointers_to(arguments),
                             environment_pointers = pointers_to(environment);
    const FileDescriptor output = open_to_write(command.output);
    const pid_t parent = getpid(), process = fork();
    if (process < 0) throw_system_error("cannot start", this_program);
    if (process == 0) become(argument_pointers.data(), environment_pointers.data(), output.number(), parent);
    return {process, std::move(command)};
}

/// The children that run; those that still do when this goes away are stopped in order.
class Children {
public:
    Children() = default;
    Children(const Children&) = delete;
    Children& operator=(const Children&) = delete;
    ~Children() {
        send(SIGTERM);
        for (const Child& child : running_) waitpid(child.process, nullptr, 0);
    }

    std::size_t count() const { return running_.size(); }
    void add(Child child) { running_.push_back(std::move(child)); }
    void send(int signal) const {
        for (const Child& child : running_) kill(child.process, signal);
    }

    /// One that has ended, if any.
    std::optional<std::pair<ChildCommand, ChildEnd>> take_ended() {
        for (auto child = running_.begin(); child != running_.end(); ++child) {
            int status = 0;
            struct rusage usage = {};
            if (wait4(child->process, &status, WNOHANG, &usage) != child->process) continue;
            constexpr std::int64_t kibibyte = 1024;
            ChildEnd end{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), seconds_since(child->begin),
                         usage.ru_maxrss * kibibyte};
            ChildCommand command = std::move(child->command);
            running_.erase(child);
            return std::pair(std::move(command), end);
        }
        return std::nullopt;
    }

private:
    std::vector<Child> running_;
};

}  // namespace

int run_side_by_side(std::deque<ChildCommand> queue, int jobs, const FollowUp& follow_up,
                     const std::function<void()>& tick) {
    constexpr auto between_looks = std::chrono::milliseconds(10);
    Children children;
    int stopped_by = 0;
    Clock::time_point ticked = Clock::now();
    while (children.count() > 0 || (!queue.empty() && stopped_by == 0)) {
        if (stopped_by == 0 && pending_signal() != 0) {
            stopped_by = pending_signal();
            children.send(stopped_by);
        }
        while (stopped_by == 0 && !queue.empty() && children.count() < static_cast<std::size_t>(jobs)) {
            ChildCommand next = std::move(queue.front());
            queue.pop_front();
            children.add(start(std::move(next)));
        }
        while (auto ended = children.take_ended()) {
            std::optional<ChildCommand> next = follow_up(ended->first, ended->second);
            if (next) queue.push_front(std::move(*next));
        }
        if (seconds_since(ticked) >= 1) {
            ticked = Clock::now();
            tick();
        }
        std::this_thread::sleep_for(between_looks);
    }
    return stopped_by != 0 ? stopped_by : pending_signal();
}

std::string error_in(const std::filesystem::path& output) {
    std::ifstream file(output, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::string mark = "error: ";
    const std::size_t found = text.rfind(mark);
    if (found == std::string::npos) return {};
    const std::size_t begin = found + mark.size();
    return text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin);
}

}  // namespace locus
