// Chains of multiply-adds that depend on nothing but themselves: enough of them to fill the latency of both pipes, few enough to stay in
// registers. On a processor without FMA the multiplication and the addition are separate instructions and both count.

#include "kernels/fma_peak.h"

#include <omp.h>

#include <cstdint>
#include <string>

#include "kernels/isa.h"
#include "kernels/tensor.h"

namespace locus::LOCUS_TARGET {
namespace {

#if defined(__AVX512F__)
constexpr int width = 16;
#elif defined(__AVX2__)
constexpr int width = 8;
#else
constexpr int width = 4;
#endif
using Register = float __attribute__((vector_size(width * sizeof(float))));
constexpr int chains = 12;

// `start` comes from the call before, so that no call can be computed once for all.
float run_chains(std::int64_t rounds, float start) {
    Register chain[chains];
    for (int i = 0; i < chains; ++i) chain[i] = Register{} + (start + 0.1F * static_cast<float>(i));
    const Register factor = Register{} + 0.999F, addend = Register{} + 0.001F;  // every chain tends to 1
    for (std::int64_t round = 0; round < rounds; ++round) {
        for (int i = 0; i < chains; ++i) chain[i] = chain[i] * factor + addend;
    }
    Register sum = {};
    for (int i = 0; i < chains; ++i) sum += chain[i];
    float total = 0.0F;
    for (int lane = 0; lane < width; ++lane) total += sum[lane];
    return total;
}

}  // namespace

void fma_peak(const FmaPeak& args) {
    constexpr std::int64_t rounds = 20000;
    double gflops = 0.0;
    double checksum = 0.0;
#pragma omp parallel reduction(+ : gflops, checksum)
    {
        const double start = omp_get_wtime();
        double elapsed = 0.0, flop = 0.0;
        float last = 0.0F;
        while (elapsed < args.seconds || flop == 0.0) {
            last = run_chains(rounds, 1e-3F * last);
            flop += 2.0 * static_cast<double>(rounds) * chains * width;
            elapsed = omp_get_wtime() - start;
        }
        gflops += flop / elapsed * 1e-9;
        checksum += static_cast<double>(last);
    }
    // The work must have a consumer, or the compiler would drop it.
    LOCUS_CHECK(checksum > 0.0, "fma_peak", "the chains gave " + std::to_string(checksum));
    *args.gflops = gflops;
}

}  // namespace locus::LOCUS_TARGET

LOCUS_CPU_KERNEL(fma_peak, FmaPeak)
