#pragma once
// Runs the built program as a user would, and tells what it printed and how it ended.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/train/temporary_folder.h"

namespace locus {

struct ProgramResult {
    int code = 0;  // exit code; 128 + signal when a signal ended it
    std::string out, err;
};

struct RunOptions {
    std::filesystem::path folder = std::filesystem::current_path();  // to run in
    std::string input;                                               // standard input
    std::vector<std::pair<std::string, std::string>> environment;    // added to the test's own
    std::string output_file;                                         // standard output goes there instead
};

namespace run_program_detail {

inline void redirect(const std::string& path, int flags, int to) {
    const int file = open(path.c_str(), flags, 0600);
    if (file < 0 || dup2(file, to) < 0) _exit(127);
}

/// In the child: never returns.
/// A build that was carried elsewhere (scripts/gpu_check.sh) says where it is.
inline std::string program() {
    const char* const carried = std::getenv("LOCUS_PROGRAM");
    return carried == nullptr ? LOCUS_PROGRAM : carried;
}

[[noreturn]] inline void become(const std::vector<std::string>& arguments, const RunOptions& options,
                                const std::string& in, const std::string& out, const std::string& err) {
    redirect(in, O_RDONLY, 0);
    redirect(out, O_WRONLY | O_CREAT, 1);
    redirect(err, O_WRONLY | O_CREAT, 2);
    if (chdir(options.folder.c_str()) != 0) _exit(127);
    for (const auto& [name, value] : options.environment) setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> pointers;
    for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
    pointers.push_back(nullptr);
    execv(pointers[0], pointers.data());
    _exit(127);
}

}  // namespace run_program_detail

/// A program that has been started; see run_program().
class RunningProgram {
public:
    RunningProgram(std::vector<std::string> arguments, const RunOptions& options) : output_file_(options.output_file) {
        arguments.insert(arguments.begin(), run_program_detail::program());
        write_text(files_ / "in", options.input);
        const std::string out = output_file_.empty() ? (files_ / "out").string() : output_file_;
        // There from the start: a signal may come before the program has opened them.
        if (output_file_.empty()) write_text(out, "");
        write_text(files_ / "err", "");
        process_ = fork();
        if (process_ < 0) throw std::runtime_error("cannot fork");
        if (process_ == 0) {
            run_program_detail::become(arguments, options, (files_ / "in").string(), out, (files_ / "err").string());
        }
    }
    ~RunningProgram() {
        if (process_ <= 0) return;
        kill(process_, SIGKILL);
        waitpid(process_, nullptr, 0);
    }
    RunningProgram(const RunningProgram&) = delete;
    RunningProgram& operator=(const RunningProgram&) = delete;

    pid_t process() const { return process_; }

    ProgramResult wait() {
        int status = 0;
        if (waitpid(process_, &status, 0) != process_) throw std::runtime_error("cannot wait for the program");
        process_ = 0;
        ProgramResult result;
        result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (output_file_.empty()) result.out = read_text(files_ / "out");
        result.err = read_text(files_ / "err");
        return result;
    }

private:
    TemporaryFolder files_;
    std::string output_file_;
    pid_t process_ = 0;
};

/// Runs `locus ARGUMENTS...` to its end.
inline ProgramResult run_program(const std::vector<std::string>& arguments, const RunOptions& options = {}) {
    return RunningProgram(arguments, options).wait();
}

}  // namespace locus
