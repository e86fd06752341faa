#pragma once
// Where something stands in a configuration, and all that was found wrong with it.

#include <cstddef>
#include <string>
#include <vector>

namespace locus {

/// A place in a file (line and column from 1), or an override on the command line (line 0).
struct Place {
    std::string source;
    int line = 0, column = 0;

    /// "quickstart.yaml:12:9", "--set train.steps=abc".
    std::string to_string() const;
};

/// Collects mistakes, so that all of them are reported at once.
class Mistakes {
public:
    void add(const Place& place, const std::string& what);
    bool empty() const { return list_.empty(); }
    /// True when further mistakes are only counted.
    bool full() const { return list_.size() >= most_lines; }
    /// Throws ConfigurationError with one line per mistake, in the order of the places, when there are any.
    void raise() const;

private:
    // A file that is no configuration at all would otherwise fill the terminal.
    static constexpr std::size_t most_lines = 100;

    struct Mistake {
        Place place;
        std::string what;
    };
    std::vector<Mistake> list_;
};

}  // namespace locus
