#pragma once

namespace locus {

/// The version of the program, as CMakeLists.txt has it.
constexpr const char* version = "0.1.0";

}  // namespace locus
