// Waiting for a GPU, for all of its work or up to a point, and the faults that kernels have noted by then.
//
//   point    a copy of the word of faults to pinned memory, the word filled with zeros again, an event: each point knows the faults since the one before

#include <array>
#include <stdexcept>
#include <utility>

#include "kernels/gpu_runtime.h"

namespace locus::LOCUS_TARGET {
namespace {

struct Point {
    cudaEvent_t passed = nullptr;
    int* fault = nullptr;  // pinned
};

void throw_fault(int fault) {
    constexpr std::array<const char*, 6> messages = {
        "",
        "[embedding] an id lies outside of its table",
        "[cross_entropy] a target lies outside of the vocabulary",
        "[gather_rows] an index lies outside of the rows, or they do not rise",
        "[rotary] a position lies outside of the table of angles",
        "[row_products] a pair names a row that is not there"};
    throw std::out_of_range(messages.at(static_cast<std::size_t>(fault)));
}

void clear_faults(int* word) {
    check_runtime(cudaMemsetAsync(word, 0, sizeof(int), the_stream()), "filling with zeros");
}

}  // namespace

int* faults() {
    static int* const word = [] {
        auto* const made = static_cast<int*>(device_functions.allocate(sizeof(int)));
        clear_faults(made);
        return made;
    }();
    return word;
}

void* make_point() {
    auto* const point = new Point;
    check_runtime(cudaEventCreateWithFlags(&point->passed, cudaEventDisableTiming), "an event");
    point->fault = static_cast<int*>(allocate_pinned(sizeof(int)));
    *point->fault = 0;
    return point;
}

void release_point(void* made) {  // in destructors: nobody could handle an error
    auto* const point = static_cast<Point*>(made);
    cudaEventDestroy(point->passed);
    release_pinned(point->fault);
    delete point;
}

void set_point(void* made) {
    check_not_recording("a point to wait for");
    const auto* const point = static_cast<const Point*>(made);
    check_runtime(cudaMemcpyAsync(point->fault, faults(), sizeof(int), cudaMemcpyDeviceToHost, the_stream()),
                  "asking for faults");
    clear_faults(faults());
    check_runtime(cudaEventRecord(point->passed, the_stream()), "an event");
}

void wait_for_point(void* made) {
    check_not_recording("waiting");
    const auto* const point = static_cast<const Point*>(made);
    check_runtime(cudaEventSynchronize(point->passed), "waiting for the GPU");
    if (const int fault = std::exchange(*point->fault, 0); fault != 0) throw_fault(fault);
}

void wait() {
    static void* const end = make_point();
    set_point(end);
    wait_for_point(end);
    release_outgrown_scratch();
}

}  // namespace locus::LOCUS_TARGET
