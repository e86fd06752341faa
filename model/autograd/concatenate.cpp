// y = [a, b, ...];   da = its part of dy.
#include <array>

#include "kernels/add.h"
#include "kernels/device.h"
#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var zeros(Tape& tape, const Tensor& like) {
    const Tensor value = tape.allocate(like.shape, like.dtype);
    fill_zeros(value);
    return tape.constant(value);
}

Var concatenate(Tape& tape, std::initializer_list<Var> parts) {
    constexpr std::size_t max_parts = 4;
    LOCUS_CHECK(parts.size() >= 1 && parts.size() <= max_parts, "concatenate", "takes 1 to 4 vectors");
    std::array<Var, max_parts> kept = {};
    std::int64_t length = 0;
    std::size_t count = 0;
    for (const Var& part : parts) {
        length += part.value().count();
        kept[count++] = part;
    }
    const Tensor value = tape.allocate({length}, kept[0].value().dtype);
    std::int64_t begin = 0;
    for (const Var& part : parts) {
        const Tensor& from = part.value();
        copy(from.reshape({from.count()}), value.slice(0, begin, begin + from.count()));
        begin += from.count();
    }
    const Var y = tape.variable(value);
    tape.record({.forward = moves(y, y), .backward = moves(y, y)}, [&tape, kept, count, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        std::int64_t begin = 0;
        for (std::size_t n = 0; n < count; ++n) {
            const std::int64_t end = begin + kept[n].value().count();
            if (tape.needs_gradient(kept[n])) add({.x = dy.slice(0, begin, end), .y = tape.gradient_sum(kept[n])});
            begin = end;
        }
    });
    return y;
}

}  // namespace locus
