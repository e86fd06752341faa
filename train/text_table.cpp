#include "train/text_table.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <utf8proc.h>

namespace locus {
namespace {

/// Calls visit(bytes of a character, its width) for each character of the text, until it returns false.
template <class Visit>
void for_each_character(std::string_view text, Visit visit) {
    while (!text.empty()) {
        utf8proc_int32_t character = 0;
        const auto* const bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
        const utf8proc_ssize_t read = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size()), &character);
        const std::size_t size = read > 0 ? static_cast<std::size_t>(read) : 1;
        if (!visit(text.substr(0, size), read > 0 ? utf8proc_charwidth(character) : 1)) return;
        text.remove_prefix(size);
    }
}

constexpr int longest_label = 16;  // columns of a token beside a heat map
constexpr std::array<const char*, 5> shades = {" ", "░", "▒", "▓", "█"};
// Of the 256 colours: background from white to dark blue, and a text colour that can be read on it.
constexpr std::array<int, 6> backgrounds = {231, 195, 153, 111, 69, 27};
constexpr std::array<int, 6> foregrounds = {16, 16, 16, 16, 231, 231};

/// Which of `count` steps a weight is on, the last one for the largest.
std::size_t step_of(double weight, double largest, std::size_t count) {
    if (!(largest > 0)) return 0;
    const auto step = static_cast<std::size_t>(weight / largest * static_cast<double>(count));
    return std::min(step, count - 1);
}

/// A cell of two columns, or of four with the percentage.
std::string heat_cell(double weight, double largest, bool percent, bool colour) {
    if (colour) {
        const std::size_t step = step_of(weight, largest, backgrounds.size());
        const std::string text = percent ? fmt::format("{:4.0f}", 100 * weight) : "  ";
        return fmt::format("\x1b[48;5;{};38;5;{}m{}\x1b[0m", backgrounds[step], foregrounds[step], text);
    }
    const std::string shade = shades[step_of(weight, largest, shades.size())];
    return percent ? fmt::format("{}{:3.0f}", shade, 100 * weight) : shade + shade;
}

/// The keys' numbers above their columns, as many as have room.
std::string heat_map_head(std::size_t keys, int cell) {
    const int digits = static_cast<int>(std::to_string(keys - 1).size());
    const std::size_t every = digits + 1 > cell ? static_cast<std::size_t>((digits + cell) / cell) : 1;
    std::string line;
    for (std::size_t key = 0; key < keys; key += every) {
        const int room = cell * static_cast<int>(std::min(every, keys - key));
        line += every == 1 ? fmt::format("{:>{}}", key, room) : fmt::format("{:<{}}", key, room);
    }
    return line;
}

}  // namespace

int display_width(std::string_view text) {
    int width = 0;
    for_each_character(text, [&](std::string_view, int columns) {
        width += columns;
        return true;
    });
    return width;
}

std::string pad_left(std::string_view text, int width) {
    return std::string(static_cast<std::size_t>(std::max(0, width - display_width(text))), ' ') + std::string(text);
}

std::string pad_right(std::string_view text, int width) {
    return std::string(text) + std::string(static_cast<std::size_t>(std::max(0, width - display_width(text))), ' ');
}

std::string fit(std::string_view text, int width) {
    if (display_width(text) <= width) return std::string(text);
    std::string kept;
    int used = 1;  // the mark
    for_each_character(text, [&](std::string_view character, int columns) {
        used += columns;
        if (used <= width) kept += character;
        return used <= width;
    });
    return kept + "~";
}

std::string number_text(double value) {
    if (!std::isfinite(value)) return fmt::format("{}", value);
    if (std::abs(value) >= 1e4) return fmt::format("{:.2e}", value);
    const std::string text = fmt::format("{:.3f}", value);
    return text == "-0.000" ? "0.000" : text;
}

std::string text_table(const std::vector<std::vector<std::string>>& rows, std::size_t left_columns,
                       std::string_view indent) {
    std::vector<int> widths;
    for (const std::vector<std::string>& row : rows) {
        widths.resize(std::max(widths.size(), row.size()), 0);
        for (std::size_t n = 0; n < row.size(); ++n) widths[n] = std::max(widths[n], display_width(row[n]));
    }
    std::string text;
    for (const std::vector<std::string>& row : rows) {
        std::string line(indent);
        for (std::size_t n = 0; n < row.size(); ++n) {
            if (n > 0) line += "  ";
            line += n < left_columns ? pad_right(row[n], widths[n]) : pad_left(row[n], widths[n]);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

std::string heat_map(const std::vector<std::vector<double>>& weights, const std::vector<std::string>& tokens,
                     const HeatMapStyle& style) {
    const std::size_t keys = tokens.size();
    double largest = 0;
    for (const std::vector<double>& row : weights)
        for (const double weight : row) largest = std::max(largest, weight);
    int label = 0;
    for (const std::string& token : tokens) label = std::max(label, std::min(display_width(token), longest_label));
    const int digits = static_cast<int>(std::to_string(keys - 1).size());
    const int beside = digits + 1 + label + 1;  // number and token of the query
    const int room = style.columns == 0 ? static_cast<int>(keys) * 4 : std::max(style.columns - beside - 1, 4);
    const bool percent = static_cast<int>(keys) * 4 <= room;
    const int cell = percent ? 4 : 2;
    const std::size_t shown = std::min(keys, static_cast<std::size_t>(room / cell));
    std::string map = std::string(static_cast<std::size_t>(beside), ' ') + heat_map_head(shown, cell) + "\n";
    for (std::size_t query = 0; query < weights.size(); ++query) {
        map += fmt::format("{:>{}} {} ", query, digits, pad_right(fit(tokens[query], label), label));
        for (std::size_t key = 0; key < shown; ++key)
            map += heat_cell(weights[query][key], largest, percent, style.colour);
        map += "\n";
    }
    if (shown < keys)
        map += fmt::format("(keys {} to {} do not fit into {} columns; --csv writes them all)\n", shown, keys - 1,
                           style.columns);
    return map;
}

}  // namespace locus
