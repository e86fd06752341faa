#pragma once
// A run that trains in a second: a few pages of generated text, byte tokens, one small layer. Each test has a folder and a cache of its own.

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "data/synthetic.h"
#include "model/position/position_encoding.h"
#include "tests/train/temporary_folder.h"
#include "train/settings.h"

namespace locus {

inline void write_tiny_text(const std::filesystem::path& path, std::uint32_t first, std::uint32_t documents) {
    std::string text;
    for (std::uint32_t n = first; n < first + documents; ++n) text += synthetic_document("english", 1, n) + "\n\n";
    write_text(path, text);
}

class TinyRun {
public:
    TinyRun() {
        setenv("LOCUS_CACHE", (folder_ / "cache").c_str(), 1);
        write_tiny_text(folder_ / "train.txt", 0, 4);
        write_tiny_text(folder_ / "valid.txt", 1000, 2);
    }

    /// Twelve steps of two times four sequences, with dropout; everything is saved.
    Settings settings(const std::string& name = "tiny") const {
        Settings settings;
        settings.run.name = name;
        settings.run.directory = (folder_ / "runs").string();
        settings.run.threads = 2;
        settings.data.train = {(folder_ / "train.txt").string()};
        settings.data.valid = {(folder_ / "valid.txt").string()};
        settings.data.tokenizer.type = "bytes";
        settings.data.sequence_length = 32;
        settings.model.layers = 1;
        settings.model.hidden = 16;
        settings.model.heads = 2;
        settings.model.feed_forward = 32;
        settings.model.max_length = 32;
        settings.model.position = {default_position("absolute")};
        settings.train.steps = 12;
        settings.train.batch_size = 4;
        settings.train.gradient_accumulation = 2;
        settings.train.optimizer.learning_rate = 3e-3;
        settings.train.schedule.warmup = 2;
        settings.train.schedule.decay = 2;
        settings.train.log_every = 1;
        settings.train.evaluate_every = 4;
        settings.train.evaluate_samples = 16;
        settings.train.checkpoint_every = 1;
        settings.train.keep_last = 0;
        return settings;
    }
    std::filesystem::path run(const std::string& name) const { return folder_ / "runs" / name; }
    const TemporaryFolder& folder() const { return folder_; }

private:
    TemporaryFolder folder_;
};

/// metrics.csv without its last two columns, which tell times.
inline std::string metrics_without_times(const std::filesystem::path& run) {
    std::istringstream file(read_text(run / "metrics.csv"));
    std::string kept;
    for (std::string line; std::getline(file, line);) {
        for (int column = 0; column < 2; ++column) line.resize(line.rfind(','));
        kept += line + "\n";
    }
    return kept;
}

/// Cells of the rows of one split, by column number.
inline std::vector<double> metrics_column(const std::filesystem::path& run, const std::string& split, int column) {
    std::istringstream file(read_text(run / "metrics.csv"));
    std::vector<double> values;
    for (std::string line; std::getline(file, line);) {
        std::vector<std::string> cells;
        std::istringstream row(line);
        for (std::string cell; std::getline(row, cell, ',');) cells.push_back(cell);
        if (cells.at(3) == split) values.push_back(std::stod(cells.at(static_cast<std::size_t>(column))));
    }
    return values;
}

}  // namespace locus
