#include "train/comparison/run_metrics.h"

#include <charconv>
#include <fstream>

namespace locus {

namespace {

std::vector<std::string> split_cells(const std::string& line) {
    std::vector<std::string> cells(1);
    for (const char c : line) {
        if (c == ',') {
            cells.emplace_back();
        } else {
            cells.back() += c;
        }
    }
    return cells;
}

}  // namespace

std::vector<MetricsCells> read_metrics(const std::filesystem::path& run, const std::string& split) {
    // step,tokens,epoch,split,loss,masked_accuracy,learning_rate,gradient_norm,tokens_per_second,elapsed_seconds
    constexpr std::size_t columns = 10;
    std::vector<MetricsCells> rows;
    std::ifstream file(run / "metrics.csv");
    std::string line;
    std::getline(file, line);  // the header
    while (std::getline(file, line) && !file.eof()) {
        const std::vector<std::string> cells = split_cells(line);
        if (cells.size() != columns || (!split.empty() && cells[3] != split)) continue;
        rows.push_back({cells[0], cells[1], cells[4], cells[5], cells[8], cells[9]});
    }
    return rows;
}

double number_in(const std::string& cell) {
    double value = 0;
    std::from_chars(cell.data(), cell.data() + cell.size(), value);
    return value;
}

}  // namespace locus
