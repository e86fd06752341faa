// y = sum_n w_n table_n[ids_n] (+ onto);   dtable_n[id] += sum_{rows with that id} w_n dy,   donto = dy.   kernels/embedding.h
#include "kernels/embedding.h"

#include <algorithm>

#include "kernels/add.h"
#include "kernels/device.h"
#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {
namespace {

// A row of the table is read once, however many tokens have it, and on the way back its gradient is read and written.
OperationCost lookup_cost(const EmbeddingTerm& term) {
    const Tensor& table = term.table.value();
    const std::int64_t entries = std::min(table.shape[0], term.ids.count());
    const Cost rows = moves(table.slice(0, 0, entries));
    return {.forward = rows + moves(term.ids), .backward = rows + rows + moves(term.ids)};
}

}  // namespace

Var embedding(Tape& tape, std::initializer_list<EmbeddingTerm> terms, Var onto) {
    constexpr std::size_t max_terms = 4;
    LOCUS_CHECK(terms.size() >= 1 && terms.size() <= max_terms, "embedding", "takes 1 to 4 tables");
    const EmbeddingTerm& first = *terms.begin();
    const Tensor value = tape.allocate({first.ids.count(), first.table.shape()[1]},
                                       onto ? onto.value().dtype : first.table.value().dtype);
    if (onto) copy(onto.value(), value);
    bool accumulate = static_cast<bool>(onto);
    std::array<EmbeddingTerm, max_terms> kept = {};
    std::size_t count = 0;
    OperationCost cost = {.forward = moves(value, onto), .backward = moves(value, onto)};
    for (const EmbeddingTerm& given : terms) {
        EmbeddingTerm& term = kept[count++] = given;
        term.ids = tape.resident(given.ids);
        term.weights = tape.resident(given.weights);
        embedding_forward({.table = term.table.value(),
                           .ids = term.ids,
                           .y = value,
                           .weights = term.weights,
                           .accumulate = accumulate});
        accumulate = true;
        cost = cost + lookup_cost(term);
    }
    const Var y = tape.variable(value);
    tape.record(cost, [&tape, kept, count, onto, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        for (std::size_t n = 0; n < count; ++n) {
            if (!tape.needs_gradient(kept[n].table)) continue;
            embedding_backward({.dy = dy,
                                .ids = kept[n].ids,
                                .weights = kept[n].weights,
                                .dtable = tape.gradient_sum(kept[n].table),
                                .skip_entry = kept[n].skip_entry,
                                .arena = &tape.arena()});
        }
        if (!onto || !tape.needs_gradient(onto)) return;
        const GradientTarget target = tape.gradient_target(onto);
        if (target.accumulate) {
            add({.x = dy, .y = target.tensor});
        } else {
            copy(dy, target.tensor);
        }
    });
    return y;
}

}  // namespace locus
