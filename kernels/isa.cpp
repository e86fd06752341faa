#include "kernels/isa.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace locus {
namespace {

#if defined(__x86_64__)
/// Whether the processor has tiles of bfloat16 and this process may use them: Linux keeps their 8 KB for those who ask.
bool may_use_tiles() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
    const bool has_tiles = (d >> 24U & 1U) != 0 && (d >> 22U & 1U) != 0;  // AMX-TILE, AMX-BF16
    constexpr long request_permission = 0x1023, tile_data = 18;           // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return has_tiles && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
#endif

Isa best_of_this_processor() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512cd");
    if (avx2 && avx512 && __builtin_cpu_supports("avx512bf16") && may_use_tiles()) return Isa::amx;
    if (avx2 && avx512) return Isa::avx512;
    if (avx2) return Isa::avx2;
#endif
    return Isa::baseline;
}

Isa choose() {
    const Isa best = best_of_this_processor();
    const char* wish = std::getenv("LOCUS_ISA");
    if (wish == nullptr || *wish == '\0') return best;
    for (Isa candidate : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::amx}) {
        if (std::string(wish) != name_of(candidate)) continue;
        if (candidate > best) {
            throw std::invalid_argument(std::string("LOCUS_ISA=") + wish + ": this processor has no more than " +
                                        name_of(best));
        }
        return candidate;
    }
    throw std::invalid_argument(std::string("LOCUS_ISA=") + wish + ": use baseline, avx2, avx512 or amx");
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
        case Isa::amx: return "amx";
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
