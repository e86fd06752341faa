#pragma once
// In the program itself this declaration would be one more in model/autograd/operations.h.

#include "model/autograd/tape.h"

namespace locus {

/// bound * tanh(x / bound), element by element; bound above 0.
Var softcap(Tape& tape, Var x, double bound);

}  // namespace locus
