#pragma once
// The rate of fused multiply-adds on registers alone: what no kernel can exceed, measured in the same seconds as the kernel. Shared machines swing by a
// factor of two from minute to minute; a share of this peak does not.

namespace locus {

struct FmaPeak {
    double seconds = 0.05;  // how long to measure
    double* gflops;         // out: float32, all OpenMP threads together
};
void fma_peak(const FmaPeak& args);

}  // namespace locus
