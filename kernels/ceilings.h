#pragma once
// What no step can exceed, measured beside it: the rate of arithmetic and the rate of copying, of the processor or of a GPU.
//
//   processor   float32 multiply-adds on registers (fma_peak.h); copying that goes past the caches (copy_bandwidth.h)
//   GPU         one product of two square matrices, with operands in the precision of the run: what the library reaches, which is below what the maker
//               promises; a copy from device memory to device memory

#include <cstdint>

#include "kernels/matmul.h"

namespace locus {

struct Ceilings {
    Device device = Device::cpu;
    Rounding rounding = Rounding::none;  // of a GPU's product
    double seconds = 0.05;               // how long each measurement takes, at least one product and one copy
    std::int64_t copy_bytes = 0;         // half of them read, half of them written; larger than the caches
};

/// GFLOP/s. Throws GpuError, std::bad_alloc.
double arithmetic_ceiling(const Ceilings& how);

/// GB/s, bytes read and bytes written. Throws as above.
double copy_ceiling(const Ceilings& how);

}  // namespace locus
