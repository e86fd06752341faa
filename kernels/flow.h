#pragma once
// A point carried along by a small network: the values of an ordinary differential equation at equal distances of time.
//
//   forward    dp/dt = g(p, t),  g(p, t) = W2 tanh(W1 p + w t + b1) + b2,  points p(0) = start, p(interval), p(2 interval), ...
//              from point to point in `steps` steps of size h = interval / steps, each by
//       euler  p + h k1                             k1 = g(p, t)
//       rk4    p + h (k1 + 2 k2 + 2 k3 + k4) / 6    k2 = g(p + h k1 / 2, t + h / 2),  k3 = g(p + h k2 / 2, t + h / 2),  k4 = g(p + h k3, t + h)
//   backward   of these very steps, from the last to the first ("discretise, then differentiate"), so that it is exact whatever their size
//
// shapes   start [C], W1 [m, C], w [m] or absent, b1 [m], W2 [C, m], b2 [C]   points, dpoints: [n, C]
// saved    of each of the E = (n - 1) steps stages evaluations: where g was asked [E, C] and the tanh there [E, m]
// cost     4 E C m flop, one evaluation after the other; twice that and a product for each weight on the way back
// errors   of euler O(h), of rk4 O(h^4)

#include "kernels/memory.h"
#include "kernels/tensor.h"

namespace locus {

enum class Solver : std::uint8_t { euler, rk4 };

struct FlowNetwork {
    Tensor in_weight, time_weight, in_bias, out_weight, out_bias;  // W1, w, b1, W2, b2
};

struct FlowSteps {
    Solver solver = Solver::rk4;
    double interval = 1.0;
    std::int64_t steps = 1;

    std::int64_t evaluations(std::int64_t points) const {
        return std::int64_t{solver == Solver::rk4 ? 4 : 1} * steps * (points - 1);
    }
};

struct FlowForward {
    FlowNetwork network;
    FlowSteps steps;
    Tensor start;
    Tensor points;           // out
    Tensor asked, tanh;      // out, for the backward pass
    Arena* arena = nullptr;  // scratch
};
void flow_forward(const FlowForward& args);

struct FlowBackward {
    FlowNetwork network;
    FlowSteps steps;
    Tensor dpoints, asked, tanh;
    FlowNetwork dnetwork;  // added to
    Tensor dstart;         // added to
    Arena* arena = nullptr;
};
void flow_backward(const FlowBackward& args);

}  // namespace locus
