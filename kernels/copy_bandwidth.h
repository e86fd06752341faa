#pragma once
// The rate at which all threads together copy memory: what no kernel can exceed whose tensors come from memory and go back there. Measured in the same
// seconds as the kernel, as the peak of multiply-adds is (fma_peak.h). A kernel whose tensors are still in a cache can be faster.

#include <cstdint>

namespace locus {

struct CopyBandwidth {
    double seconds = 0.05;  // how long to measure
    std::int64_t
        bytes;  // what is streamed over, half of it read and half of it written; larger than the caches to mean memory
    double* gigabytes_per_second;  // out: bytes read and bytes written both count
};
/// Takes its memory from the system and gives it back. Throws std::bad_alloc.
void copy_bandwidth(const CopyBandwidth& args);

}  // namespace locus
