#include "train/configuration/values.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string_view>

#include <fmt/format.h>

namespace locus {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Takes digits, with single underscores between them, from the front of `rest`.
bool take_digits(std::string_view& rest, std::string& digits) {
    bool any = false;
    while (!rest.empty()) {
        const bool separator = rest[0] == '_' && any && rest.size() > 1 && is_digit(rest[1]);
        if (!separator && !is_digit(rest[0])) break;
        if (!separator) digits += rest[0];
        any = true;
        rest.remove_prefix(1);
    }
    return any;
}

bool take(std::string_view& rest, std::string_view any_of) {
    if (rest.empty() || any_of.find(rest[0]) == std::string_view::npos) return false;
    rest.remove_prefix(1);
    return true;
}

/// The decimal number in plain spelling (no underscores, no plus sign), or nothing.
std::optional<std::string> plain_decimal(std::string_view rest) {
    std::string plain;
    if (!rest.empty() && rest[0] == '-') plain = "-";
    take(rest, "+-");
    const bool whole = take_digits(rest, plain);
    if (!whole) plain += '0';
    if (take(rest, ".")) {
        plain += '.';
        const bool fraction = take_digits(rest, plain);
        if (!whole && !fraction) return std::nullopt;
        if (!fraction) plain += '0';
    } else if (!whole) {
        return std::nullopt;
    }
    if (take(rest, "eE")) {
        plain += 'e';
        if (!rest.empty() && rest[0] == '-') plain += '-';
        take(rest, "+-");
        if (!take_digits(rest, plain)) return std::nullopt;
    }
    if (!rest.empty()) return std::nullopt;
    return plain;
}

std::string lowercase(std::string_view text) {
    std::string lower(text);
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return lower;
}

/// "1:30" in YAML 1.1 is 90; nobody means that.
bool looks_sexagesimal(std::string_view text) {
    const std::size_t colon = text.find(':');
    return colon != std::string_view::npos && colon > 0 &&
           text.find_first_not_of("0123456789:+-_.") == std::string_view::npos;
}

/// Why `text` is not a number; the traps of YAML 1.1 by name.
std::string why_not_a_number(const std::string& text, const char* expected) {
    const std::string lower = lowercase(text);
    const std::size_t sign = lower.find_first_not_of("+-") == std::string::npos ? 0 : lower.find_first_not_of("+-");
    const std::string_view body = std::string_view(lower).substr(sign);
    if (body == "nan" || body == ".nan" || body == "inf" || body == ".inf" || body == "infinity") {
        return fmt::format("expects {}, and {} is not finite", expected, text);
    }
    if (body.substr(0, 2) == "0x" || body.substr(0, 2) == "0o" || body.substr(0, 2) == "0b") {
        return fmt::format("expects {} in decimal, not \"{}\"", expected, text);
    }
    if (looks_sexagesimal(text))
        return fmt::format("expects {}, not a time (\"{}\"): write one decimal number", expected, text);
    if (text.empty()) return fmt::format("expects {}, not an empty text", expected);
    return fmt::format("expects {}, not \"{}\"", expected, text);
}

bool has_leading_zero(std::string_view plain) {
    if (!plain.empty() && plain[0] == '-') plain.remove_prefix(1);
    return plain.size() > 1 && plain[0] == '0' && is_digit(plain[1]);
}

Parsed<double> parse_decimal(const std::string& text, const char* expected) {
    const std::optional<std::string> plain = plain_decimal(text);
    if (!plain) return {0, why_not_a_number(text, expected)};
    if (has_leading_zero(*plain)) {
        return {0,
                fmt::format("has a leading zero (\"{}\"), which some readers of YAML take for octal: write it without",
                            text)};
    }
    double value = 0;
    const auto [end, error] = std::from_chars(plain->data(), plain->data() + plain->size(), value);
    if (error != std::errc() || end != plain->data() + plain->size() || !std::isfinite(value)) {
        return {0, fmt::format("is out of the range of numbers (\"{}\")", text)};
    }
    return {value, {}};
}

}  // namespace

Parsed<double> parse_number(const std::string& text) { return parse_decimal(text, "a number"); }

Parsed<std::int64_t> parse_integer(const std::string& text) {
    const Parsed<double> number = parse_decimal(text, "a whole number");
    if (!number) return {0, number.error};
    if (std::abs(number.value) > 0x1p53) return {0, fmt::format("is out of the range of whole numbers (\"{}\")", text)};
    if (number.value != std::floor(number.value)) return {0, fmt::format("expects a whole number, not {}", text)};
    return {static_cast<std::int64_t>(number.value), {}};
}

Parsed<bool> parse_boolean(const std::string& text) {
    if (text == "true" || text == "false") return {text == "true", {}};
    const std::string lower = lowercase(text);
    const bool yes = lower == "yes" || lower == "on" || lower == "y" || lower == "true" || lower == "1";
    const bool no = lower == "no" || lower == "off" || lower == "n" || lower == "false" || lower == "0";
    if (yes || no)
        return {false, fmt::format("expects true or false, not \"{}\": write {}", text, yes ? "true" : "false")};
    return {false, fmt::format("expects true or false, not \"{}\"", text)};
}

std::string expand_home(const std::string& path) {
    const char* home = std::getenv("HOME");
    const bool applies = home != nullptr && !path.empty() && path[0] == '~' && (path.size() == 1 || path[1] == '/');
    return applies ? home + path.substr(1) : path;
}

std::string write_number(double value) { return fmt::format("{}", value); }

}  // namespace locus
