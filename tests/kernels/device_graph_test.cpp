// Recordings, points and deferred copies. On the host's stand-in a graph that was launched waits until somebody asks for its results (simt_runtime.h): as
// late as a GPU could be.
#include "kernels/device_graph.h"

#include <stdlib.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/add.h"
#include "kernels/device.h"
#include "kernels/gather_rows.h"
#include "kernels/gpu_memory.h"
#include "kernels/matmul.h"
#include "tests/kernels/testing.h"

namespace locus::simt {
void* scratch(std::size_t bytes);  // gpu_memory.h, as kernels see it
}

namespace locus::test {
namespace {

// Runs the test on each GPU with recording switched on: other tests may have asked for LOCUS_GPU_WAIT.
template <class Body>
void recording_on_each_gpu(const Body& body) {
    const char* const set = getenv("LOCUS_GPU_WAIT");
    const std::optional<std::string> before = set == nullptr ? std::nullopt : std::optional<std::string>(set);
    unsetenv("LOCUS_GPU_WAIT");
    for (const Device device : gpus()) {
        SCOPED_TRACE(name_of(device));
        body(device);
    }
    if (before) setenv("LOCUS_GPU_WAIT", before->c_str(), 1);
}

// Numbers on a device that the host cannot touch.
class There {
public:
    There(Shape shape, Device device) : memory_(static_cast<std::size_t>(shape.count()) * sizeof(float), device) {
        tensor = Tensor(memory_.data(), shape, DType::float32, device);
    }
    std::vector<float> numbers() const {
        const HostCopy here(tensor);
        return {here.tensor().as<float>(), here.tensor().as<float>() + here.tensor().count()};
    }
    Tensor tensor;

private:
    Buffer memory_;
};

void send(std::vector<float>& numbers, const Tensor& to) { copy(Tensor(numbers.data(), to.shape, DType::float32), to); }

float first_of(const DeferredCopy& copy) { return copy.tensor().as<float>()[0]; }

TEST(DeviceGraph, OnTheProcessorWorkIsOnlyCalled) {
    DeviceGraph graph(Device::cpu);
    int calls = 0;
    graph.run([&] { ++calls; });
    EXPECT_EQ(calls, 1);
    EXPECT_THROW(graph.run([] { throw std::runtime_error("stop"); }), std::runtime_error);
}

// x doubles and grows by what the program has sent; matrix products of another shape each time.
TEST(DeviceGraph, GivesWhatTheSameWorkGivesAtOnce) {
    recording_on_each_gpu([](Device device) {
        std::vector<std::vector<float>> outcomes;
        for (const bool recorded : {false, true}) {
            There x({4, 4}, device), y({4, 4}, device), step({4, 4}, device);
            std::vector<float> start(16, 1.0F);
            send(start, x.tensor);
            DeviceGraph graph(device);
            for (int n = 1; n <= 5; ++n) {
                const auto work = [&] {
                    std::vector<float> sent(16, static_cast<float>(n));
                    send(sent, step.tensor);
                    sent.assign(16, -1000.0F);  // the copy was asked for before
                    copy(x.tensor, y.tensor);
                    add({.x = y.tensor, .y = x.tensor});
                    add({.x = step.tensor, .y = x.tensor});
                    if (n % 2 == 0) fill_zeros(y.tensor);
                    const std::int64_t rows = 1 + n % 3;
                    matmul({.a = x.tensor.slice(0, 0, rows), .b = step.tensor, .c = y.tensor.slice(0, 0, rows)});
                };
                recorded ? graph.run(work) : work();
            }
            outcomes.push_back(x.numbers());
            const std::vector<float> product = y.numbers();
            outcomes.back().insert(outcomes.back().end(), product.begin(), product.end());
        }
        EXPECT_EQ(outcomes[0], outcomes[1]);
        EXPECT_EQ(outcomes[0][0], 32 + 16 + 2 * 8 + 3 * 4 + 4 * 2 + 5);
    });
}

TEST(DeviceGraph, NothingRunsBeforeTheRecordingEnds) {
    recording_on_each_gpu([](Device device) {
        There x({1}, device);
        std::vector<float> one = {1};
        send(one, x.tensor);
        DeviceGraph graph(device);
        bool refused_copy = false, refused_wait = false, refused_point = false, refused_graph = false;
        const auto is_refused = [](const auto& what) {
            try {
                what();
            } catch (const GpuError& error) {
                return std::string(error.what()).find("while a graph is being recorded") != std::string::npos;
            }
            return false;
        };
        DevicePoint point(device);
        graph.run([&] {
            refused_copy = is_refused([&] { x.numbers(); });
            refused_wait = is_refused([&] { wait_for(device); });
            refused_point = is_refused([&] { point.set(); });
            refused_graph = is_refused([&] { graph.run([] {}); });
            add({.x = x.tensor, .y = x.tensor});
        });
        EXPECT_TRUE(refused_copy && refused_wait && refused_point && refused_graph);
        EXPECT_EQ(x.numbers(), std::vector<float>{2});
    });
}

TEST(DeviceGraph, WorkThatThrowsIsGivenUpAndTheDeviceGoesOn) {
    recording_on_each_gpu([](Device device) {
        There x({1}, device);
        std::vector<float> one = {1}, five = {5};
        send(one, x.tensor);
        DeviceGraph graph(device);
        const auto doubled = [&] { add({.x = x.tensor, .y = x.tensor}); };
        EXPECT_THROW(graph.run([&] {
            doubled();
            send(five, x.tensor);
            throw std::runtime_error("stop");
        }),
                     std::runtime_error);
        EXPECT_EQ(x.numbers(), std::vector<float>{1});
        graph.run(doubled);
        doubled();
        EXPECT_EQ(x.numbers(), std::vector<float>{4});
    });
}

// Ten recordings of which nobody waits for the last two.
TEST(DeviceGraph, WhatWasSentStaysUntilItsGraphHasRun) {
    recording_on_each_gpu([](Device device) {
        There sum({1024}, device), sent({1024}, device);
        DeviceGraph graph(device);
        std::vector<float> numbers(1024);
        for (int n = 1; n <= 10; ++n) {
            graph.run([&] {
                for (int part = 0; part < 3; ++part) {
                    numbers.assign(1024, static_cast<float>(n));
                    send(numbers, sent.tensor);
                    add({.x = sent.tensor, .y = sum.tensor});
                }
            });
        }
        numbers.assign(1024, 1.0F);
        send(numbers, sent.tensor);
        add({.x = sent.tensor, .y = sum.tensor});
        EXPECT_EQ(sum.numbers(), std::vector<float>(1024, 3 * 55 + 1));
    });
}

// Larger than an area of pinned memory (gpu_staging.cu), outside of a recording and within.
TEST(DeviceGraph, LargeCopiesArriveWhole) {
    recording_on_each_gpu([](Device device) {
        const std::int64_t count = 7'000'001;
        There there({count}, device);
        std::vector<float> numbers(static_cast<std::size_t>(count));
        DeviceGraph graph(device);
        for (const bool recorded : {false, true, true}) {
            for (std::size_t n = 0; n < numbers.size(); ++n)
                numbers[n] = static_cast<float>(n % 1'000'003) + (recorded ? 0.5F : 0.25F);
            const auto work = [&] { send(numbers, there.tensor); };
            recorded ? graph.run(work) : work();
            EXPECT_TRUE(there.numbers() == numbers);
        }
    });
}

TEST(DeferredCopy, IsThereWhenItsPointIsPassedAndLaterWorkDoesNotChangeIt) {
    recording_on_each_gpu([](Device device) {
        There x({2}, device);
        std::vector<float> numbers = {1, 10};
        send(numbers, x.tensor);
        DeviceGraph graph(device);
        DeferredCopy first, second;
        DevicePoint after_first(device), after_second(device);
        const auto doubled_into = [&](DeferredCopy& copy) {
            add({.x = x.tensor, .y = x.tensor});
            copy.ask(x.tensor);
        };
        graph.run([&] { doubled_into(first); });
        after_first.set();
        graph.run([&] { doubled_into(second); });
        after_second.set();
        after_first.wait();
        EXPECT_EQ(first_of(first), 2);
        after_second.wait();
        EXPECT_EQ(first_of(first), 2);
        EXPECT_EQ(first_of(second), 4);
        EXPECT_EQ(second.tensor().as<float>()[1], 40);
    });
}

TEST(DeferredCopy, GrowsAndIsACopyOnTheProcessorToo) {
    std::vector<float> numbers = {1, 2, 3};
    DeferredCopy copied;
    copied.ask(Tensor(numbers.data(), {1}, DType::float32));
    numbers[0] = 7;
    EXPECT_EQ(first_of(copied), 1);
    copied.ask(Tensor(numbers.data(), {3}, DType::float32));
    EXPECT_EQ(first_of(copied), 7);
    EXPECT_EQ(copied.tensor().as<float>()[2], 3);
}

// A fault belongs to the first point behind it, whatever is queued since.
TEST(DevicePoint, ThrowsTheFaultsBeforeItAndNoOthers) {
    recording_on_each_gpu([](Device device) {
        There x({2, 1}, device), y({1, 1}, device);
        Buffer memory(sizeof(std::int32_t), device);
        const Tensor rows(memory.data(), {1}, DType::int32, device);
        DeviceGraph graph(device);
        const auto gather = [&](std::int32_t row) {
            graph.run([&] {
                copy(Tensor(&row, {1}, DType::int32), rows);
                gather_rows_forward({.x = x.tensor, .indices = rows, .y = y.tensor});
            });
        };
        std::vector<DevicePoint> points;
        for (const std::int32_t row : {1, 2, 0}) {
            gather(row);
            points.emplace_back(device).set();
        }
        EXPECT_NO_THROW(points[0].wait());
        EXPECT_THROW(points[1].wait(), std::out_of_range);
        EXPECT_NO_THROW(points[2].wait());
        EXPECT_NO_THROW(wait_for(device));
    });
}

// Partial sums of what is recorded or queued lie in the smaller one.
TEST(Scratch, StaysWhereItWasUntilSomebodyWaits) {
    recording_on_each_gpu([](Device device) {
        if (device != Device::simt) return;
        const DeviceFunctions& functions = functions_of(device);
        void* const before = simt::scratch(64);
        void* grown = before;
        std::size_t bytes = 64;
        DeviceGraph graph(device);
        graph.run([&] {
            functions.zero(before, 64);
            for (; grown == before; bytes *= 2) grown = simt::scratch(2 * bytes);
            functions.zero(grown, bytes);
        });
        EXPECT_NO_THROW(wait_for(device));
        EXPECT_EQ(simt::scratch(64), grown);
    });
}

}  // namespace
}  // namespace locus::test
