#pragma once
// Every key of a configuration: its path, the setting behind it, what it may be, and what it means. Reading, writing, checking and the
// suggestions for misspelt keys all walk this one table.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "train/settings.h"

namespace locus {

/// `betas: [b1, b2]`.
struct NumberPair {
    double *first, *second;
};

/// The setting that a key fills; its type is the key's type.
using KeyTarget = std::variant<std::string*, bool*, std::int64_t*, std::uint32_t*, double*, NumberPair,
                               std::vector<std::string>*, std::vector<PositionSettings>*, ProbeSettings*>;

/// What a value may be.
struct Allowed {
    double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
    bool low_excluded = false, high_excluded = false;
    std::vector<std::string> choices = {};  // of a text
    bool is_path = false;                   // a leading ~ is the home folder

    bool contains(double value) const;
    /// "at least 1", "at least 0 and below 1", ...
    std::string to_string() const;
};

struct ConfigurationKey {
    std::string path;  // "train.optimizer.learning_rate"
    KeyTarget target;
    Allowed allowed;
    std::string help;

    std::string section() const { return path.substr(0, path.rfind('.')); }
    std::string name() const { return path.substr(path.rfind('.') + 1); }
};

/// Whether a key says how text is read, cut into tokens or masked: of no use to a probe.
bool is_text_key(const std::string& path);

/// The table, bound to `settings`. In the order of writing: the keys of a section stand together.
std::vector<ConfigurationKey> configuration_keys(Settings& settings);

}  // namespace locus
