#pragma once
// Instruction sets. Every kernel source is compiled three times, for x86-64 baseline, AVX2+FMA and AVX-512, each time into a
// namespace of its own (LOCUS_TARGET, set by CMake to baseline, avx2 or avx512). At run time the best one that the processor
// has is called; the environment variable LOCUS_ISA=baseline|avx2|avx512|amx forces a lower one. amx, AVX-512 with tile registers for
// bfloat16 (Intel since Sapphire Rapids), has the kernels of avx512, but for the matrix product (matmul_amx.h).
//
//     namespace locus::LOCUS_TARGET {
//     void gelu_forward(const GeluForward& args) { ... }        // plain C++, written once
//     }
//     LOCUS_KERNEL(gelu_forward, GeluForward)                   // defines locus::gelu_forward, which picks
//
// On processors that are not x86-64 only `baseline` exists. Helpers that a kernel source needs live inside its LOCUS_TARGET
// namespace (or are included there), never as plain inline functions: the linker keeps one copy of those, and it could be the one with
// instructions that the processor lacks. Baseline objects are linked first, so that shared standard-library
// templates resolve to the portable copy.

#include <string>

namespace locus {

enum class Isa { baseline, avx2, avx512, amx };

/// The instruction set in use: the best of the processor, or LOCUS_ISA. Decided once.
/// Throws std::invalid_argument when LOCUS_ISA names an unknown set or one that this processor lacks.
Isa isa();

const char* name_of(Isa isa);

/// Model name of the processor as the operating system reports it, for reports and benchmarks.
std::string processor_name();

}  // namespace locus

#ifdef LOCUS_TARGET
#ifndef LOCUS_TARGET_IS_BASELINE
#define LOCUS_KERNEL(function, Arguments)  // the baseline object defines the picker
#elif defined(LOCUS_BASELINE_ONLY)
#define LOCUS_KERNEL(function, Arguments)                                        \
    namespace locus {                                                            \
    void function(const Arguments& arguments) { baseline::function(arguments); } \
    }
#else
#define LOCUS_KERNEL(function, Arguments)                             \
    namespace locus {                                                 \
    namespace avx2 {                                                  \
    void function(const Arguments&);                                  \
    }                                                                 \
    namespace avx512 {                                                \
    void function(const Arguments&);                                  \
    }                                                                 \
    void function(const Arguments& arguments) {                       \
        switch (isa()) {                                              \
            case Isa::amx:                                            \
            case Isa::avx512: return avx512::function(arguments);     \
            case Isa::avx2: return avx2::function(arguments);         \
            case Isa::baseline: return baseline::function(arguments); \
        }                                                             \
    }                                                                 \
    }
#endif
#endif
