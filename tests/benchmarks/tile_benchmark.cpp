// What the tile registers of AMX reach on this processor, without memory beyond the first-level cache: the ceiling of kernels/matmul_amx.cpp, and why it leaves room
// between products of tiles.
//
//     OMP_NUM_THREADS=1 taskset -c 0 kernels_benchmark --benchmark_filter=tiles
//
// products       products of tiles alone
// loads          loads of tiles alone
// parts3         the loads and products of a step of the float32 product (three parts): 14 loads, 24 products
// parts3_room    the same with eight empty instructions after each product
// Counters: GFLOP/s in bfloat16 (a load counts as a product); a sixth of it is what a float32 product gets.

#include <benchmark/benchmark.h>
#include <immintrin.h>

#include <cstdint>

#include "kernels/isa.h"

namespace locus {
namespace {

struct alignas(64) Configuration {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t line_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t lines[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

void no_room() {}
void room() { __asm__ volatile(".rept 8\n nop\n .endr"); }

template <void (*between)()>
void products() {
    _tile_dpbf16ps(0, 4, 6);
    between();
    _tile_dpbf16ps(1, 4, 7);
    between();
    _tile_dpbf16ps(2, 5, 6);
    between();
    _tile_dpbf16ps(3, 5, 7);
    between();
}
void load_a(const char* tile) {
    _tile_loadd(4, tile, 64);
    _tile_loadd(5, tile + 1024, 64);
}
void load_b(const char* tile) {
    _tile_loadd(6, tile, 64);
    _tile_loadd(7, tile + 1024, 64);
}

template <void (*between)()>
void step_of_three_parts(const char* a, const char* b) {
    load_a(a);
    load_b(b + 4096);
    products<between>();
    load_b(b + 2048);
    products<between>();
    load_a(a + 2048);
    products<between>();
    load_b(b);
    products<between>();
    load_a(a + 4096);
    products<between>();
    load_a(a);
    products<between>();
}

void run_tiles(benchmark::State& state, int tiles, void (*body)(const char* memory)) {
    if (isa() != Isa::amx) return state.SkipWithError("this processor has no tile registers");
    const Configuration configuration;
    _tile_loadconfig(&configuration);
    alignas(64) static char memory[12 * 1024] = {};
    load_a(memory);
    load_b(memory);
    for (auto _ : state)
        for (int n = 0; n < 1000; ++n) body(memory);
    _tile_release();
    state.counters["GFLOP/s"] = benchmark::Counter(16384e-9 * 1000 * tiles * static_cast<double>(state.iterations()),
                                                   benchmark::Counter::kIsRate);
}

[[maybe_unused]] const bool registered = [] {
    const auto add = [](const char* name, int tiles, void (*body)(const char*)) {
        benchmark::RegisterBenchmark(name, [=](benchmark::State& state) { run_tiles(state, tiles, body); });
    };
    add("tiles/products", 4, [](const char*) { products<no_room>(); });
    add("tiles/loads", 4, [](const char* memory) {
        load_a(memory);
        load_b(memory + 2048);
    });
    add("tiles/parts3", 24, [](const char* memory) { step_of_three_parts<no_room>(memory, memory + 6144); });
    add("tiles/parts3_room", 24, [](const char* memory) { step_of_three_parts<room>(memory, memory + 6144); });
    return true;
}();

}  // namespace
}  // namespace locus
