#pragma once
// metrics.csv: one row per logged training step and per validation. Plain text that does not depend on the locale; numbers are the shortest that
// read back to the same bits, and what is not finite is written as nan or inf.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace locus {

/// A row; cells that do not apply are absent, and empty in the file.
struct MetricsRow {
    std::int64_t step = 0;
    std::int64_t tokens = 0;  // seen in training so far
    double epoch = 0;         // passes over the training samples so far; 0 for a probe, whose samples never end
    std::string split;        // train | valid
    double loss = 0;          // nats per masked token
    double masked_accuracy = 0;
    std::optional<double> learning_rate, gradient_norm, tokens_per_second;
    double elapsed_seconds = 0;
};

constexpr const char* metrics_header =
    "step,tokens,epoch,split,loss,masked_accuracy,learning_rate,gradient_norm,tokens_per_second,elapsed_seconds\n";

/// The row as text, with its line end.
std::string format_row(const MetricsRow& row);

class MetricsFile {
public:
    /// Starts a new file, header first. Throws std::system_error.
    explicit MetricsFile(const std::filesystem::path& path);
    /// Goes on with a file as it was when it was `bytes` long, at step `step`: what came later is cut off. A file that is shorter, or was
    /// edited, keeps its rows up to `step`; the caller is told by was_edited().
    MetricsFile(const std::filesystem::path& path, std::int64_t bytes, std::int64_t step);
    ~MetricsFile();
    MetricsFile(const MetricsFile&) = delete;
    MetricsFile& operator=(const MetricsFile&) = delete;

    /// Appends a row and hands it to the operating system. A full disk is no error yet: the row waits in memory for the next call;
    /// false then.
    bool append(const MetricsRow& row);
    /// Writes what waits and syncs to the disk. Throws std::system_error.
    void sync();

    /// Length of the file; rows that wait are not in it.
    std::int64_t bytes() const { return bytes_; }
    bool was_edited() const { return was_edited_; }

private:
    bool write_waiting();
    void keep_rows_until(std::int64_t step);

    std::filesystem::path path_;
    int file_ = -1;
    std::int64_t bytes_ = 0;
    bool was_edited_ = false;
    std::string waiting_;
};

}  // namespace locus
