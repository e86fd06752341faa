#pragma once
// Instruction sets. Every kernel source is compiled three times, for x86-64 baseline, AVX2+FMA and AVX-512, each time into a
// namespace of its own (LOCUS_TARGET, set by CMake to baseline, avx2 or avx512). At run time the best one that the processor
// has is called; the environment variable LOCUS_ISA=baseline|avx2|avx512|amx forces a lower one. amx, AVX-512 with tile registers for
// bfloat16 (Intel since Sapphire Rapids), has the kernels of avx512, but for the matrix product (matmul_amx.h).
//
//     namespace locus::LOCUS_TARGET {
//     void gelu_forward(const GeluForward& args) { ... }        // plain C++, written once
//     }
//     LOCUS_KERNEL(gelu_forward, GeluForward, x)                // defines locus::gelu_forward, which checks the arguments and picks
//
// The third argument names the tensor whose device is asked first: on a GPU the function of the same name in gelu.cu is called (gpu.h). The contract is
// the same everywhere: before anything is called, check(arguments), which the source defines beside the kernel, throws when it is broken.
//
// A GpuError that the GPU's function throws goes on with the arguments' names and shapes (call_context.h).
//
// On processors that are not x86-64 only `baseline` exists. Helpers that a kernel source needs live inside its LOCUS_TARGET
// namespace (or are included there), never as plain inline functions: the linker keeps one copy of those, and it could be the one with
// instructions that the processor lacks. Baseline objects are linked first, so that shared standard-library
// templates resolve to the portable copy.

#include <string>

#include "kernels/call_context.h"

namespace locus {

enum class Isa { baseline, avx2, avx512, amx };

/// The instruction set in use: the best of the processor, or LOCUS_ISA. Decided once.
/// Throws std::invalid_argument when LOCUS_ISA names an unknown set or one that this processor lacks.
Isa isa();

const char* name_of(Isa isa);

/// Model name of the processor as the operating system reports it, for reports and benchmarks.
std::string processor_name();

}  // namespace locus

// ---- which function of that name is called ----

#if defined(LOCUS_HAS_CUDA)
#define LOCUS_CALL_ON_CUDA(function) cuda::function(arguments)
#else
#define LOCUS_CALL_ON_CUDA(function) throw_contract(#function, "this program was built without CUDA")
#endif
#if defined(LOCUS_HAS_SIMT)
#define LOCUS_CALL_ON_SIMT(function) simt::function(arguments)
#else
#define LOCUS_CALL_ON_SIMT(function) throw_contract(#function, "this program was built without device simt")
#endif
#define LOCUS_DECLARE_ON_GPU(function, Arguments) \
    namespace cuda {                              \
    void function(const Arguments&);              \
    }                                             \
    namespace simt {                              \
    void function(const Arguments&);              \
    }
#define LOCUS_CALL_ON_GPU(function, device)                                                    \
    try {                                                                                      \
        if ((device) == Device::cuda) return LOCUS_CALL_ON_CUDA(function);                     \
        if ((device) == Device::simt) return LOCUS_CALL_ON_SIMT(function);                     \
    } catch (const GpuError& error) {                                                          \
        throw_with_arguments(error, #function, __FILE__, __LINE__, [&] { check(arguments); }); \
    }

#if defined(LOCUS_TARGET_IS_BASELINE)  // this object defines the pickers
#if defined(LOCUS_BASELINE_ONLY)
#define LOCUS_DECLARE_ON_PROCESSOR(function, Arguments)
#define LOCUS_CALL_ON_PROCESSOR(function) baseline::function(arguments);
#else
#define LOCUS_DECLARE_ON_PROCESSOR(function, Arguments) \
    namespace avx2 {                                    \
    void function(const Arguments&);                    \
    }                                                   \
    namespace avx512 {                                  \
    void function(const Arguments&);                    \
    }
#define LOCUS_CALL_ON_PROCESSOR(function)                         \
    switch (isa()) {                                              \
        case Isa::amx:                                            \
        case Isa::avx512: return avx512::function(arguments);     \
        case Isa::avx2: return avx2::function(arguments);         \
        case Isa::baseline: return baseline::function(arguments); \
    }
#endif

#define LOCUS_KERNEL(function, Arguments, tensor)            \
    namespace locus {                                        \
    LOCUS_DECLARE_ON_PROCESSOR(function, Arguments)          \
    LOCUS_DECLARE_ON_GPU(function, Arguments)                \
    void function(const Arguments& arguments) {              \
        using baseline::check;                               \
        check(arguments);                                    \
        LOCUS_CALL_ON_GPU(function, arguments.tensor.device) \
        LOCUS_CALL_ON_PROCESSOR(function)                    \
    }                                                        \
    }

// A kernel that has no version for a GPU; it checks its arguments itself.
#define LOCUS_CPU_KERNEL(function, Arguments)                                       \
    namespace locus {                                                               \
    LOCUS_DECLARE_ON_PROCESSOR(function, Arguments)                                 \
    void function(const Arguments& arguments) { LOCUS_CALL_ON_PROCESSOR(function) } \
    }
#elif defined(LOCUS_TARGET)
#define LOCUS_KERNEL(function, Arguments, tensor)
#define LOCUS_CPU_KERNEL(function, Arguments)
#endif
