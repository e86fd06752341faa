// y[h, n] = scale a[i_n, h] . b[j_n, h];   da[i_n, h] += scale dy[h, n] b[j_n, h],   db[j_n, h] += scale dy[h, n] a[i_n, h].
// kernels/row_products.h
#include "kernels/row_products.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var row_products(Tape& tape, Var a, Tensor a_rows, Var b, Tensor b_rows, std::int64_t heads, double scale) {
    const Tensor value = tape.allocate({heads, a_rows.count()}, a.value().dtype);
    const RowProducts operands = {.a = a.value(),
                                  .b = b.value(),
                                  .a_rows = tape.resident(a_rows),
                                  .b_rows = tape.resident(b_rows),
                                  .heads = heads,
                                  .scale = scale};
    row_products_forward({.operands = operands, .y = value});
    const Var y = tape.variable(value);
    const Cost products = multiply_adds(a_rows.count() * a.shape()[1]);
    const OperationCost cost = {.forward = products + moves(a, b, y), .backward = 2 * products + moves(y, a, b, a, b)};
    tape.record(cost, [&tape, a, b, operands, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        row_products_backward({.dy = dy, .operands = operands, .da = tape.gradient_sum(a), .db = tape.gradient_sum(b)});
    });
    return y;
}

}  // namespace locus
