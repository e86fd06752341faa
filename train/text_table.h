#pragma once
// Numbers as text in columns that stay in line whatever the words beside them are: a Chinese character takes two columns of a terminal, a combining mark
// none.

#include <string>
#include <string_view>
#include <vector>

namespace locus {

/// Columns of a terminal that valid UTF-8 text takes.
int display_width(std::string_view text);

/// `text` with spaces before or after it up to `width` columns; longer text stays as it is.
std::string pad_left(std::string_view text, int width);
std::string pad_right(std::string_view text, int width);
/// The beginning of `text` that fits into `width` columns, with "~" in the place of what had to go.
std::string fit(std::string_view text, int width);

/// A number in at most nine columns: three decimals, or an exponent where it is too large for that; "-inf".
std::string number_text(double value);

/// Rows of cells under a row of headings, each column as wide as it has to be; the first `left_columns` flush left, the others flush right. Every line
/// begins with `indent`.
std::string text_table(const std::vector<std::vector<std::string>>& rows, std::size_t left_columns,
                       std::string_view indent);

/// Shades of a map: how, and in how much room.
struct HeatMapStyle {
    bool colour = false;  // 256-colour codes; else shades as characters
    int columns = 0;      // of the terminal; 0: any number
};

/// weights[query][key] in percent on a shade, darker where larger, the largest of all darkest: a row per query with its number and token, a column per
/// key with its number. In little room without the percentages; keys that do not fit even so are left out, and a line says how many.
std::string heat_map(const std::vector<std::vector<double>>& weights, const std::vector<std::string>& tokens,
                     const HeatMapStyle& style);

}  // namespace locus
