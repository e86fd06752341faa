#pragma once

namespace locus {

/// The version of the program; CMakeLists.txt reads it here.
constexpr const char* version = "0.1.0";

}  // namespace locus
