#pragma once
// What benchmarks of kernels share: the shapes of the tiny model, tensors for one benchmark, and a run with the multiply-add peak beside it.
//
// Before and after each run of a kernel the peak is measured for a fraction of a millisecond. Read the share of that peak,
// or the bytes per second against a copy on the same machine: the time alone says as much about the neighbours as about the kernel.
//
// Counters: GFLOP/s; GB/s, bytes that must cross the kernel's border once; peak, GFLOP/s of multiply-adds beside; share, in percent of it.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "kernels/device.h"
#include "kernels/dropout.h"
#include "kernels/fma_peak.h"
#include "kernels/memory.h"
#include "kernels/random.h"
#include "kernels/tensor.h"

namespace locus {

inline constexpr std::int64_t sequences = 32, length = 128, rows = sequences * length, hidden = 256;
inline constexpr std::int64_t feed_forward = 1024, vocabulary = 8192, masked = 614, parameters = 5400000;
inline constexpr Dropout tenth = {.probability = 0.1F, .seed = 1, .site = stream_dropout, .step = 1};

// Tensors of one benchmark, on the processor or on a GPU; freed with it.
class Workspace {
public:
    explicit Workspace(Device device = Device::cpu) : device_(device) {}

    /// Between -scale and scale; float32 or bfloat16.
    Tensor floats(Shape shape, float scale = 1.0F, DType dtype = DType::float32) {
        const std::vector<float> million = noise(std::min<std::int64_t>(shape.count(), 1000000), scale);
        return dtype == DType::float32 ? repeated(million, shape) : repeated(truncated(million), shape);
    }
    Tensor int32s(std::int64_t count, const std::function<std::int64_t(std::int64_t)>& value) {
        std::vector<std::int32_t> values(static_cast<std::size_t>(count));
        for (std::int64_t i = 0; i < count; ++i)
            values[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(value(i));
        return repeated(values, {count});
    }
    /// Zeros.
    Tensor take(Shape shape, DType dtype) {
        buffers_.emplace_back(static_cast<std::size_t>(shape.count() * size_of(dtype)), device_);
        return Tensor(buffers_.back().data(), shape, dtype, device_);
    }
    /// The rows of the batch's sequences.
    AttentionRows attention_rows() {
        return {int32s(sequences + 1, [](std::int64_t s) { return s * length; }),
                int32s(rows, [](std::int64_t r) { return r % length; })};
    }
    /// Sequence and position of each row of the batch.
    DropoutRows dropout_rows() {
        return {int32s(rows, [](std::int64_t r) { return r / length; }),
                int32s(rows, [](std::int64_t r) { return r % length; })};
    }

private:
    static std::vector<float> noise(std::int64_t count, float scale) {
        std::vector<float> values(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = scale * static_cast<float>(
                                    2.0 * uniform(philox({1, 9}, {static_cast<std::uint32_t>(i), 0, 0, 0})[0]) - 1.0);
        }
        return values;
    }
    static std::vector<bfloat16_t> truncated(const std::vector<float>& values) {
        std::vector<bfloat16_t> upper;
        for (const float x : values)
            upper.push_back({static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16U)});
        return upper;
    }
    template <class T>
    Tensor repeated(const std::vector<T>& values, Shape shape) {
        const Tensor tensor = take(shape, dtype_of<T>());
        const auto period = static_cast<std::int64_t>(values.size());
        const Tensor flat = tensor.reshape({shape.count()});
        for (std::int64_t begin = 0; begin < flat.count(); begin += period) {
            const std::int64_t count = std::min(period, flat.count() - begin);
            copy(Tensor(const_cast<T*>(values.data()), {count}, dtype_of<T>()), flat.slice(0, begin, begin + count));
        }
        return tensor;
    }

    Device device_;
    std::vector<Buffer> buffers_;
};

inline double peak_now() {
    double gflops = 0.0;
    fma_peak({.seconds = 0.0003, .gflops = &gflops});
    return gflops;
}

// What one call does: floating-point operations and bytes.
struct Work {
    double flop, bytes;
};

inline void measure(benchmark::State& state, Work work, const std::function<void()>& kernel) {
    using Clock = std::chrono::steady_clock;
    kernel();  // makes primitives and scratch memory
    double seconds = 0.0, peaks = 0.0;
    for (auto _ : state) {
        const double before = peak_now();
        const auto start = Clock::now();
        kernel();
        const std::chrono::duration<double> elapsed = Clock::now() - start;
        peaks += (before + peak_now()) / 2.0;
        seconds += elapsed.count();
        state.SetIterationTime(elapsed.count());
    }
    const auto runs = static_cast<double>(state.iterations());
    const double gflops = work.flop * runs / seconds * 1e-9, peak = peaks / runs;
    state.counters["GFLOP/s"] = gflops;
    state.counters["GB/s"] = work.bytes * runs / seconds * 1e-9;
    state.counters["peak"] = peak;
    state.counters["share"] = 100.0 * gflops / peak;
}

inline void register_run(const std::string& name, Work work,
                         const std::function<std::function<void()>(Workspace&)>& prepare) {
    benchmark::RegisterBenchmark(name.c_str(),
                                 [=](benchmark::State& state) {
                                     Workspace workspace;
                                     measure(state, work, prepare(workspace));
                                 })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond)
        ->MinTime(0.2);
}

}  // namespace locus
