// locus: pre-trains small masked language models. Here exceptions become one clear line on standard error and an exit code (error.h).

#include <cerrno>
#include <cstdio>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "data/error.h"
#include "model/error.h"
#include "train/command_line.h"
#include "train/error.h"
#include "train/signals.h"

namespace {

using namespace locus;

int fail(int code, const std::string& what) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", what.c_str());
    return code;
}

bool is_of_the_disk(const std::error_code& code) {
    for (int disk : {ENOSPC, EDQUOT, EFBIG, EIO, EROFS}) {
        if (code == std::error_code(disk, std::generic_category())) return true;
    }
    return false;
}

/// Called inside a catch: the exit code of the exception being handled, its message printed.
int exit_code_of_exception() {
    try {
        throw;
    } catch (const Interrupted& interrupted) {
        return fail(128 + interrupted.signal, std::string("stopped by ") + signal_name(interrupted.signal));
    } catch (const ConfigurationError& error) {
        return fail(exit_configuration, error.what());
    } catch (const ModelError& error) {
        return fail(exit_configuration, error.what());
    } catch (const DataError& error) {
        return fail(exit_input, error.what());
    } catch (const FileError& error) {
        return fail(exit_input, error.what());
    } catch (const std::out_of_range& error) {
        return fail(exit_input, error.what());
    } catch (const NotFiniteError& error) {
        return fail(exit_not_finite, error.what());
    } catch (const std::bad_alloc&) {
        return fail(
            exit_memory,
            "out of memory; a smaller train.batch_size (with more train.gradient_accumulation) or a smaller model "
            "needs less, and `locus info` estimates how much");
    } catch (const std::system_error& error) {
        return fail(is_of_the_disk(error.code()) ? exit_disk : exit_other, error.what());
    } catch (const std::exception& error) {
        return fail(exit_other, error.what());
    } catch (...) {
        return fail(exit_other, "unknown failure");
    }
}

/// What a command printed may still fail to arrive: a full disk behind a redirection.
int finish_output(int code) {
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
    const std::error_code reason(errno, std::generic_category());
    const int failed = is_of_the_disk(reason) ? exit_disk : exit_other;
    return code == exit_done ? fail(failed, "standard output cannot be written: " + reason.message()) : code;
}

}  // namespace

int main(int count, char** arguments) {
    int code = exit_other;
    try {
        code = run_command_line(count, arguments);
    } catch (...) {
        code = exit_code_of_exception();
    }
    return finish_output(code);
}
