#pragma once
// A recurrent net along each sequence of a ragged batch. What the tokens say is already in x, one product for all of them; what is left, and
// has to be done one step after the other, is the states' part: with h = h_{t-1}, s the logistic function,
//
//   tanh   h_t = tanh(x_t + U h + b)
//   gru    r = s(x_r + U_r h + b_r),  z = s(x_z + U_z h + b_z),  n = tanh(x_n + r (U_n h + b_n)),   h_t = (1 - z) n + z h
//   lstm   i, f, g, o = s, s, tanh, s of x + U h + b,   c_t = f c_{t-1} + i g,   h_t = o tanh(c_t)
//
//   backward   from the last step to the first: dh_t = dy_t + what step t + 1 made of it; through the gates to dx_t and to the gradient before
//              the gates, g_t; dh_{t-1} = U^T g_t + the direct path. After all steps dU += sum g_t h_{t-1}^T,  db += sum g_t
//
// On the processor the sequences of a batch take their steps together: step t of all of them is one product [sequences that are that long,
// H] x U^T. For this they are packed by time: rows of step 0, then those of step 1, ..., longer sequences first, so that those who go on are
// the first rows of each step.
//
// shapes   G = 1, 3 or 4 gates in the order above (PyTorch's)   x, dx: [rows, G H]   h, dy: [rows, H], all four perhaps columns of wider
//          matrices   weight U: [G H, H]   bias, start (h before the first step, 0 when absent): [G H], [H]
// saved    packed by time, on a GPU as the rows of the batch: before [rows, H], the state that each step began with; gates [rows, G H], after
//          their functions; and memory [rows, H]: U_n h + b_n of a gru, c_t of an lstm, unused for tanh. The backward pass leaves g_t in the
//          place of the gates
// cost     2 rows G H^2 flop in as many products as the longest sequence has tokens: they cannot be done side by side
// papers   Cho et al. 2014, arXiv:1406.1078 (gru; r inside as in cuDNN and PyTorch); Hochreiter and Schmidhuber 1997 (lstm)

#include "kernels/attention.h"
#include "kernels/memory.h"
#include "kernels/tensor.h"

namespace locus {

enum class Cell : std::uint8_t { tanh, gru, lstm };

constexpr std::int64_t gates_of(Cell cell) { return cell == Cell::tanh ? 1 : cell == Cell::gru ? 3 : 4; }

struct RecurrentForward {
    Cell cell = Cell::gru;
    Tensor x, weight, bias;
    Tensor start = {};
    AttentionRows rows;
    bool reverse = false;          // from the last token to the first
    Tensor h;                      // out
    Tensor before, gates, memory;  // out, for the backward pass
};
void recurrent_forward(const RecurrentForward& args);

struct RecurrentBackward {
    Cell cell = Cell::gru;
    Tensor dy, weight;
    AttentionRows rows;
    bool reverse = false;
    Tensor before, gates, memory;  // of the forward pass; gates is overwritten
    Tensor dx;                     // added to, or overwritten
    bool accumulate = false;
    Tensor dweight, dbias;   // added to
    Tensor dstart = {};      // added to, when present
    Arena* arena = nullptr;  // scratch
};
void recurrent_backward(const RecurrentBackward& args);

}  // namespace locus
