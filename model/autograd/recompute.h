#pragma once
// Activation recomputation, also called gradient checkpointing (Chen et al. 2016, arXiv:1604.06174): less memory for more arithmetic.
//
//   forward    y = f(x) without recording: of all that f computes, y alone is kept (and x, by the node that made it)
//   backward   f(x) again, now recording, on a tape of its own, which then runs backwards: dy in, dx out
//
// A model of N blocks keeps N inputs and the inside of one block instead of the insides of N. For that the forward pass runs twice: a step has
// four thirds of the arithmetic.
//
// No bit of a gradient changes. f computes the same numbers again, since dropout draws its masks from counters (kernels/dropout.h). And
// everything is added in the same order: parameters are the same on both tapes, and the gradient of x, with what other consumers have put
// there already, is lent to the inner tape and comes back with f's contributions.

#include <algorithm>
#include <array>
#include <cstddef>

#include "kernels/device.h"
#include "model/autograd/tape.h"

namespace locus {

/// A tape for the inside: of the same arena, precision and clock.
class InnerTape : public Tape {
public:
    InnerTape(Tape& outer, bool recording) : Tape(outer.arena()) {
        set_recording(recording);
        set_rounding(outer.rounding());
        set_clock(outer.clock());
    }
};

/// `outer`, a variable of another tape, as an input on this one, during backward(): its gradient grows here and goes back at the end.
inline Var borrow(Tape& inner, Var outer, bool needs_gradient) {
    const Var inside = inner.variable(outer.value(), needs_gradient);
    Tape::hand_over_gradient(outer, inside);
    inner.record({}, [inside, outer] { Tape::hand_over_gradient(inside, outer); });
    return inside;
}

/// f(tape, inputs), the inside of f recomputed in the backward pass when `tape` records. f: (Tape&, const std::array<Var, N>&) -> Var, trivially
/// destructible; it must record on the tape that it is given, read no other variables, and still find what it captured during backward().
/// Inputs are values of operations, not parameters; f returns a value of its own, not an input.
template <std::size_t N, class Function>
Var recompute(Tape& tape, const std::array<Var, N>& inputs, Function f) {
    if (!tape.recording()) return f(tape, inputs);
    const auto value_alone = [&] {
        InnerTape inner(tape, false);
        std::array<Var, N> inside;
        for (std::size_t n = 0; n < N; ++n) inside[n] = inner.constant(inputs[n].value());
        const Tensor computed = f(inner, inside).value(), kept = tape.allocate(computed.shape, computed.dtype);
        copy(computed, kept);
        return kept;
    };
    const Var y = tape.variable(value_alone());
    tape.record({}, [&tape, inputs, f, y] {
        if (!tape.gradient_of(y)) return;
        InnerTape inner(tape, true);
        std::array<Var, N> inside;
        for (std::size_t n = 0; n < N; ++n) {
            // A variable that is given twice is one inside, too.
            const auto first = std::find(inputs.begin(), inputs.begin() + n, inputs[n]);
            inside[n] = first == inputs.begin() + n ? borrow(inner, inputs[n], tape.needs_gradient(inputs[n]))
                                                    : inside[static_cast<std::size_t>(first - inputs.begin())];
        }
        const Var again = f(inner, inside);
        Tape::hand_over_gradient(y, again);
        inner.backward();
    });
    return y;
}

}  // namespace locus
