#include "kernels/random.h"

#include <cmath>
#include <numbers>

namespace locus {

std::array<double, 2> box_muller(std::uint32_t bits_radius, std::uint32_t bits_angle) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform(bits_radius)));  // 1 - u lies in (0, 1]
    const double angle = 2.0 * std::numbers::pi * uniform(bits_angle);
    return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace locus
