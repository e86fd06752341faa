#pragma once
// What a run's metrics.csv says, as it stands there.

#include <filesystem>
#include <string>
#include <vector>

namespace locus {

/// Cells of a row.
struct MetricsCells {
    std::string step, tokens, loss, masked_accuracy, tokens_per_second, elapsed_seconds;
};

/// The rows of a split, "train" or "valid"; empty for both. None when there is no such file yet. A row that is still being written is left out.
std::vector<MetricsCells> read_metrics(const std::filesystem::path& run, const std::string& split = {});

/// The number in a cell; 0 for an empty one.
double number_in(const std::string& cell);

}  // namespace locus
