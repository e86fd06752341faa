#pragma once
// What the error of a GPU says besides the device's own words: which operation was called, with which tensors, declared where. Nothing is written down
// while all goes well. Only when a call has failed are its arguments checked again, and the checks (checks.h) say what they look at:
//
//     the GPU refused: [gelu] 4 x 1 x 1 blocks of 2048 threads, 0 bytes of shared memory, at kernels/gelu.cu:57: invalid configuration argument;
//     called as gelu_forward(x float32 [4, 256], bias float32 [256], y float32 [4, 256]) of kernels/gelu.cpp:170

#include <functional>
#include <string>

#include "kernels/device.h"

namespace locus {

/// Called by checks for each argument they look at: for a tensor that is there, and for a switch that is on.
void note_argument(const char* name, const Tensor& tensor);
void note_argument(const char* name, bool is_on);

/// Throws `error` again, with what check() notes.
[[noreturn]] void throw_with_arguments(const GpuError& error, const char* operation, const char* file, int line,
                                       const std::function<void()>& check);

/// "kernels/gelu.cu:57" from __FILE__ and __LINE__.
std::string place_of(const char* file, int line);

}  // namespace locus
