#include "train/configuration/mistakes.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "train/error.h"

namespace locus {

std::string Place::to_string() const { return line > 0 ? fmt::format("{}:{}:{}", source, line, column) : source; }

void Mistakes::add(const Place& place, const std::string& what) { list_.push_back({place, what}); }

void Mistakes::raise() const {
    if (list_.empty()) return;
    std::vector<Mistake> sorted = list_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const Mistake& a, const Mistake& b) {
        return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
    });
    std::string text;
    for (std::size_t i = 0; i < std::min(sorted.size(), most_lines); ++i) {
        text += fmt::format("{}{}: {}", i > 0 ? "\n" : "", sorted[i].place.to_string(), sorted[i].what);
    }
    if (sorted.size() > most_lines) text += fmt::format("\nand {} more mistakes", sorted.size() - most_lines);
    throw ConfigurationError(text);
}

}  // namespace locus
