#pragma once
// What operations cost (step_clock.h), in the words of their formulas:
//
//     {.forward = moves(x, y), .backward = moves(y, y, x)}          y = tanh(x): the way back reads dy and y and writes dx
//     multiply_adds(rows * in * out) + moves(x, weight, y)          y = x W^T
//
// A gradient is as large as its value, so the value stands for it.

#include "model/autograd/tape.h"

namespace locus {

inline double bytes_of(const Tensor& tensor) { return tensor ? static_cast<double>(tensor.bytes()) : 0; }
inline double bytes_of(Var variable) { return variable ? bytes_of(variable.value()) : 0; }

/// Each of these tensors and variables is read once, or written once; absent ones are not.
template <class... Values>
Cost moves(const Values&... values) {
    return {.bytes = (bytes_of(values) + ...)};
}

inline Cost multiply_adds(std::int64_t count) { return {.flops = 2 * static_cast<double>(count)}; }

/// y = x W^T,   dx = dy W,   dW += dy^T x.   x [rows, in], weight [out, in]
inline OperationCost product_cost(const Tape& tape, Var x, Var weight) {
    const std::int64_t outputs = x.shape()[0] * weight.shape()[0];
    const Cost product = multiply_adds(outputs * x.shape()[1]);
    const Cost y = {.bytes = static_cast<double>(outputs * size_of(x.value().dtype))};
    OperationCost cost = {.forward = product + moves(x, weight) + y,
                          .backward = product + moves(x, weight, weight) + y};
    if (tape.needs_gradient(x)) cost.backward = cost.backward + product + moves(weight, x);
    return cost;
}

}  // namespace locus
