#include "kernels/isa.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace locus {
namespace {

Isa best_of_this_processor() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512cd");
    if (avx2 && avx512) return Isa::avx512;
    if (avx2) return Isa::avx2;
#endif
    return Isa::baseline;
}

Isa choose() {
    const Isa best = best_of_this_processor();
    const char* wish = std::getenv("LOCUS_ISA");
    if (wish == nullptr || *wish == '\0') return best;
    for (Isa candidate : {Isa::baseline, Isa::avx2, Isa::avx512}) {
        if (std::string(wish) != name_of(candidate)) continue;
        if (candidate > best) {
            throw std::invalid_argument(std::string("LOCUS_ISA=") + wish + ": this processor has no more than " +
                                        name_of(best));
        }
        return candidate;
    }
    throw std::invalid_argument(std::string("LOCUS_ISA=") + wish + ": use baseline, avx2 or avx512");
}

}  // namespace

Isa isa() {
    static const Isa chosen = choose();
    return chosen;
}

const char* name_of(Isa isa) {
    switch (isa) {
        case Isa::baseline: return "baseline";
        case Isa::avx2: return "avx2";
        case Isa::avx512: return "avx512";
    }
    return "?";
}

std::string processor_name() {
    std::ifstream cpuinfo("/proc/cpuinfo");
    for (std::string line; std::getline(cpuinfo, line);) {
        if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
    }
    return "unknown processor";
}

}  // namespace locus
