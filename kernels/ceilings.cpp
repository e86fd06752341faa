#include "kernels/ceilings.h"

#include <bit>
#include <chrono>
#include <vector>

#include "kernels/copy_bandwidth.h"
#include "kernels/device.h"
#include "kernels/fma_peak.h"
#include "kernels/matmul.h"
#include "kernels/memory.h"
#include "kernels/random.h"

namespace locus {
namespace {

// Seconds that one call of `work` takes on the device: the first, which may prepare something, is not counted.
template <class Work>
double seconds_per_call(const Ceilings& how, const Work& work) {
    using Clock = std::chrono::steady_clock;
    constexpr int at_once = 8;  // so that waiting does not count
    work();
    wait_for(how.device);
    const Clock::time_point start = Clock::now();
    double seconds = 0;
    int calls = 0;
    do {
        for (int n = 0; n < at_once; ++n) work();
        calls += at_once;
        wait_for(how.device);
        seconds = std::chrono::duration<double>(Clock::now() - start).count();
    } while (seconds < how.seconds);
    return seconds / calls;
}

// Numbers between -1 and 1, the same in every 64 rows: products of zeros take less power, and a GPU then runs faster than it does in a step.
void fill_with_noise(const Tensor& square) {
    constexpr std::int64_t rows = 64;
    const std::int64_t count = rows * square.shape[1];
    std::vector<float> noise(static_cast<std::size_t>(count));
    std::vector<bfloat16_t> rounded(noise.size());
    for (std::size_t n = 0; n < noise.size(); ++n) {
        noise[n] = static_cast<float>(2 * uniform(philox({1, 9}, {static_cast<std::uint32_t>(n), 0, 0, 0})[0]) - 1);
        rounded[n] = {static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(noise[n]) >> 16U)};
    }
    void* const data = square.dtype == DType::bfloat16 ? static_cast<void*>(rounded.data()) : noise.data();
    for (std::int64_t row = 0; row < square.shape[0]; row += rows)
        copy(Tensor(data, {rows, square.shape[1]}, square.dtype), square.slice(0, row, row + rows));
}

}  // namespace

double arithmetic_ceiling(const Ceilings& how) {
    if (how.device == Device::cpu) {
        double gflops = 0;
        fma_peak({.seconds = how.seconds, .gflops = &gflops});
        return gflops;
    }
    const std::int64_t size = how.device == Device::cuda ? 8192 : 256;
    const DType stored = how.rounding == Rounding::bfloat16 ? DType::bfloat16 : DType::float32;
    const auto bytes = static_cast<std::size_t>(size * size * size_of(stored));
    const Buffer a(bytes, how.device), b(bytes, how.device), c(bytes, how.device);
    const auto square = [&](const Buffer& buffer) { return Tensor(buffer.data(), {size, size}, stored, how.device); };
    fill_with_noise(square(a));
    fill_with_noise(square(b));
    const Matmul product = {
        .a = square(a), .b = square(b), .c = square(c), .transpose_b = true, .rounding = how.rounding};
    const double flops = 2.0 * static_cast<double>(size) * static_cast<double>(size) * static_cast<double>(size);
    return flops / seconds_per_call(how, [&] { matmul(product); }) / 1e9;
}

double copy_ceiling(const Ceilings& how) {
    if (how.device == Device::cpu) {
        double rate = 0;
        copy_bandwidth({.seconds = how.seconds, .bytes = how.copy_bytes, .gigabytes_per_second = &rate});
        return rate;
    }
    const std::int64_t count = how.copy_bytes / 2 / 4;
    const Buffer from(static_cast<std::size_t>(count) * 4, how.device),
        to(static_cast<std::size_t>(count) * 4, how.device);
    const Tensor a(from.data(), {count}, DType::float32, how.device), b(to.data(), {count}, DType::float32, how.device);
    return static_cast<double>(how.copy_bytes) / seconds_per_call(how, [&] { copy(a, b); }) / 1e9;
}

}  // namespace locus
