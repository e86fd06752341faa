// Each thread walks over a stretch of its own again and again. The stores go past the caches: an ordinary store would first read the line that it
// overwrites, a third more traffic than the copy needs.

#include "kernels/copy_bandwidth.h"

#include <omp.h>

#include <cstring>
#include <string>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/isa.h"
#include "kernels/memory.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr std::int64_t line = 64;            // bytes
constexpr std::int64_t piece = 1024 * line;  // bytes between two looks at the clock

void copy_piece(const char* from, char* to) {
    for (std::int64_t n = 0; n < piece; n += line) {
        const auto* const source = reinterpret_cast<const float*>(from + n);
        auto* const target = reinterpret_cast<float*>(to + n);
#if defined(__AVX512F__)
        _mm512_stream_ps(target, _mm512_load_ps(source));
#elif defined(__AVX__)
        for (int part = 0; part < 16; part += 8) _mm256_stream_ps(target + part, _mm256_load_ps(source + part));
#elif defined(__x86_64__)
        for (int part = 0; part < 16; part += 4) _mm_stream_ps(target + part, _mm_load_ps(source + part));
#else
        std::memcpy(target, source, line);
#endif
    }
}

// Bytes read and written per second by the calling thread; `bytes` a multiple of `piece`.
double rate_of_one(const char* from, char* to, std::int64_t bytes, double seconds) {
    const double start = omp_get_wtime();
    double elapsed = 0, moved = 0;
    for (std::int64_t place = 0; elapsed < seconds || moved == 0; place = (place + piece) % bytes) {
        copy_piece(from + place, to + place);
        moved += 2.0 * piece;
        elapsed = omp_get_wtime() - start;
    }
    return moved / elapsed;
}

}  // namespace

void copy_bandwidth(const CopyBandwidth& args) {
    const std::int64_t threads = omp_get_max_threads();
    const std::int64_t each = args.bytes / (2 * threads) / piece * piece;
    LOCUS_CHECK(each > 0, "copy_bandwidth",
                std::to_string(args.bytes) + " bytes are too few for " + std::to_string(threads) + " threads");
    const Buffer from(static_cast<std::size_t>(each * threads)), to(static_cast<std::size_t>(each * threads));
    double rate = 0;
#pragma omp parallel reduction(+ : rate)
    {
        const std::int64_t begin = each * omp_get_thread_num();
        char* const read = static_cast<char*>(from.data()) + begin;
        char* const written = static_cast<char*>(to.data()) + begin;
        std::memset(read, 1,
                    static_cast<std::size_t>(each));  // fresh pages are slow: all are there before the clock starts
        std::memset(written, 0, static_cast<std::size_t>(each));
#pragma omp barrier
        rate += rate_of_one(read, written, each, args.seconds);
    }
    *args.gigabytes_per_second = rate * 1e-9;
}

}  // namespace locus::LOCUS_TARGET

LOCUS_CPU_KERNEL(copy_bandwidth, CopyBandwidth)
