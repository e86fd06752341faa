#include "train/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <string_view>

#include "data/file_descriptor.h"

namespace locus {
namespace fs = std::filesystem;
namespace {

void append_number(std::string& text, double value) {
    if (std::isnan(value)) {  // to_chars would also write the sign of a NaN
        text += "nan";
        return;
    }
    std::array<char, 32> digits;
    const std::to_chars_result end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    text.append(digits.data(), end.ptr);
}

void append_optional(std::string& text, const std::optional<double>& value) {
    text += ',';
    if (value) append_number(text, *value);
}

int open_for_appending(const fs::path& path, int more) {
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | more, 0666);
    if (file < 0) throw_system_error("cannot open", path);
    return file;
}

}  // namespace

std::string format_row(const MetricsRow& row) {
    std::string text = std::to_string(row.step) + ',' + std::to_string(row.tokens) + ',';
    append_number(text, row.epoch);
    text += ',' + row.split + ',';
    append_number(text, row.loss);
    text += ',';
    append_number(text, row.masked_accuracy);
    append_optional(text, row.learning_rate);
    append_optional(text, row.gradient_norm);
    append_optional(text, row.tokens_per_second);
    append_optional(text, row.elapsed_seconds);
    return text + '\n';
}

MetricsFile::MetricsFile(const fs::path& path) : path_(path), file_(open_for_appending(path, O_TRUNC)) {
    waiting_ = metrics_header;
    write_waiting();
}

MetricsFile::MetricsFile(const fs::path& path, std::int64_t bytes, std::int64_t step)
    : path_(path), file_(open_for_appending(path, 0)) {
    const std::int64_t length = lseek(file_, 0, SEEK_END);
    char last = 0;
    const bool whole = bytes > 0 && length >= bytes && pread(file_, &last, 1, bytes - 1) == 1 && last == '\n';
    if (!whole) {
        keep_rows_until(step);
        return;
    }
    if (ftruncate(file_, bytes) != 0) throw_system_error("cannot shorten", path_);
    bytes_ = bytes;
}

MetricsFile::~MetricsFile() {
    write_waiting();
    close(file_);
}

void MetricsFile::keep_rows_until(std::int64_t step) {
    was_edited_ = true;
    std::string kept = metrics_header;
    std::ifstream old(path_, std::ios::binary);
    for (std::string line; std::getline(old, line) && !old.eof();) {
        std::int64_t row_step = 0;
        const std::from_chars_result read = std::from_chars(line.data(), line.data() + line.size(), row_step);
        if (read.ec == std::errc{} && row_step <= step) kept += line + '\n';
    }
    if (ftruncate(file_, 0) != 0) throw_system_error("cannot shorten", path_);
    waiting_ = kept;
    write_waiting();
}

bool MetricsFile::append(const MetricsRow& row) {
    waiting_ += format_row(row);
    return write_waiting();
}

bool MetricsFile::write_waiting() {
    std::string_view rest = waiting_;
    while (!rest.empty()) {
        const ssize_t written = write(file_, rest.data(), rest.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {  // no half row stays in the file
            const int error = errno;
            if (ftruncate(file_, bytes_) != 0) errno = error;
            errno = error;
            return false;
        }
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
    bytes_ += static_cast<std::int64_t>(waiting_.size());
    waiting_.clear();
    return true;
}

void MetricsFile::sync() {
    if (!write_waiting()) throw_system_error("cannot write", path_);
    if (fsync(file_) != 0) throw_system_error("cannot sync", path_);
}

}  // namespace locus
