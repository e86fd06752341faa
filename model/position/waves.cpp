#include "model/position/waves.h"

#include <cmath>

namespace locus {
namespace {

template <class T>
void fill(const Tensor& table, double base, double scale) {
    const std::int64_t length = table.shape[0], columns = table.shape[1];
    T* const out = table.as<T>();
    for (std::int64_t channel = 0; channel < columns; ++channel) {
        const std::int64_t pair = channel / 2;
        const double frequency = std::pow(base, -2.0 * static_cast<double>(pair) / static_cast<double>(columns));
        for (std::int64_t i = 0; i < length; ++i) {
            const double angle = static_cast<double>(i) * frequency;
            out[i * columns + channel] = static_cast<T>(scale * (channel % 2 == 0 ? std::sin(angle) : std::cos(angle)));
        }
    }
}

}  // namespace

Tensor waves(Tape& tape, Shape shape, DType dtype, double base, double scale) {
    const Tensor table = tape.host_tensor(shape, dtype);
    if (dtype == DType::float64) {
        fill<double>(table, base, scale);
    } else {
        fill<float>(table, base, scale);
    }
    return table;
}

}  // namespace locus
