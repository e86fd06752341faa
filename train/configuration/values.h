#pragma once
// Texts of a configuration as values. The type that is asked for decides how a text is read; whether it was quoted makes no difference.
//
//   number    1e-4  1E-4  2e5  .5  5.  1_000          not: nan, inf, 0x10, 010, 1:30, 1e-4x
//   integer   any of these that is a whole number     1_000 and 1e3 are 1000
//   boolean   true, false                             not: yes, no, on, off, True

#include <cstdint>
#include <string>

namespace locus {

/// A value, or why there is none: `error` completes the sentence "KEY: ...".
template <class T>
struct Parsed {
    T value{};
    std::string error;

    explicit operator bool() const { return error.empty(); }
};

Parsed<double> parse_number(const std::string& text);
/// Between -2^53 and 2^53.
Parsed<std::int64_t> parse_integer(const std::string& text);
Parsed<bool> parse_boolean(const std::string& text);

/// A leading ~ as the home folder.
std::string expand_home(const std::string& path);

/// The shortest text that parse_number() reads as the same value.
std::string write_number(double value);

}  // namespace locus
