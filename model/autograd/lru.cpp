// s = the states of a linear recurrent unit along u's sequences, one direction beside the other;   du and the factors' gradients through time.
// kernels/lru.h
#include "kernels/lru.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {
namespace {

Tensor part(const Tensor& whole, int axis, std::int64_t n, std::int64_t directions) {
    const std::int64_t size = whole.shape[axis] / directions;
    return whole.slice(axis, n * size, (n + 1) * size);
}

}  // namespace

Var lru(Tape& tape, Var u, const LruFactors& factors, const AttentionRows& host_rows, std::int64_t directions) {
    const AttentionRows rows = tape.resident(host_rows);
    const Tensor value = tape.allocate(u.shape(), u.value().dtype);
    for (std::int64_t n = 0; n < directions; ++n) {
        lru_forward({.u = part(u.value(), 1, n, directions),
                     .nu = part(factors.nu.value(), 0, n, directions),
                     .phi = part(factors.phi.value(), 0, n, directions),
                     .log_c = part(factors.log_c.value(), 0, n, directions),
                     .rows = rows,
                     .reverse = n == 1,
                     .s = part(value, 1, n, directions)});
    }
    const Var y = tape.variable(value);
    tape.record({.forward = moves(u, y), .backward = moves(y, u, y, u)}, [&tape, u, factors, rows, directions, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        const GradientTarget du = tape.gradient_target(u);
        const Tensor dnu = tape.gradient_sum(factors.nu), dphi = tape.gradient_sum(factors.phi);
        const Tensor dlog_c = tape.gradient_sum(factors.log_c);
        for (std::int64_t n = 0; n < directions; ++n) {
            lru_backward({.ds = part(dy, 1, n, directions),
                          .u = part(u.value(), 1, n, directions),
                          .nu = part(factors.nu.value(), 0, n, directions),
                          .phi = part(factors.phi.value(), 0, n, directions),
                          .log_c = part(factors.log_c.value(), 0, n, directions),
                          .s = part(y.value(), 1, n, directions),
                          .rows = rows,
                          .reverse = n == 1,
                          .du = part(du.tensor, 1, n, directions),
                          .accumulate = du.accumulate,
                          .dnu = part(dnu, 0, n, directions),
                          .dphi = part(dphi, 0, n, directions),
                          .dlog_c = part(dlog_c, 0, n, directions),
                          .arena = &tape.arena()});
        }
    });
    return y;
}

}  // namespace locus
