#pragma once
// The tape: reverse-mode differentiation, define by run.
//
// Running a model's forward pass calls operations (operations.h). Each computes its value at once and, when the tape records,
// leaves a node: a function that turns the gradient of its output into the gradients of its inputs. backward() runs the nodes in
// reverse. Nodes are coarse: a linear layer, an attention, a layer norm with its residual; a BERT block is about ten.
//
// Two rules, which every operation keeps:
//   the gradient of a parameter is added to (+=): micro-batches and tied tables accumulate by themselves
//   the gradient of any other value is written by the first consumer that backward() meets and added to by the others
// Both are one question to the tape: gradient_target() says where to write and whether to overwrite or to add.
//
// Memory: what an operation allocates belongs to its node, and goes back to the arena when backward() has passed it.
// No operator new after the first step: nodes and closures live in the arena too.
//
// Precision: with bfloat16_products() a GPU stores what flows from token to token, and its gradients, as bfloat16 (activation_dtype()). Everything beside
// it, parameters, their gradients, statistics, tables of numbers by position or distance, is float32, and so is arithmetic. An operation's output has the
// dtype of its input; what is no activation it allocates as arithmetic_of() that dtype. The processor stores float32 as ever.
//
// Devices: an arena on a GPU makes a tape on a GPU: the values of variables lie there. What the processor writes itself (token ids, positions, tables
// of numbers by distance) lies in host_tensor()s; an operation asks for each with resident() before it gives it to a kernel.

#include <cstdint>
#include <map>
#include <new>
#include <type_traits>
#include <utility>

#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/memory.h"
#include "kernels/tensor.h"
#include "model/autograd/parameter.h"
#include "model/autograd/step_clock.h"

namespace locus {

class Tape;

/// What numbers of this dtype are computed in, and what stands beside activations that are stored so is stored in: statistics, tables, biases.
inline DType arithmetic_of(DType storage) { return storage == DType::bfloat16 ? DType::float32 : storage; }

/// A value on the tape and, during backward(), its gradient. A handle: cheap to copy, valid until the tape is cleared.
class Var {
public:
    Var() = default;

    const Tensor& value() const { return record_->value; }
    const Shape& shape() const { return record_->value.shape; }
    /// The value as a matrix product takes it: of a parameter that is kept in bfloat16 too, that copy.
    const Tensor& operand() const { return record_->rounded ? record_->rounded : record_->value; }
    explicit operator bool() const { return record_ != nullptr; }
    /// The same variable, not the same value.
    bool operator==(const Var&) const = default;

private:
    friend class Tape;
    struct Record {
        Tensor value;
        Tensor gradient;  // absent until the first consumer asks for it; a parameter's own from the start
        Record* next;     // the records of one node form a list
        bool needs_gradient;
        bool is_parameter;
        Tensor rounded = {};  // Parameter::rounded
    };
    explicit Var(Record* record) : record_(record) {}
    Record* record_ = nullptr;
};

/// Where an operation puts the gradient of an input.
struct GradientTarget {
    Tensor tensor;
    bool accumulate;  // false: overwrite, this is the first contribution
};

class Tape {
public:
    /// Memory comes from `arena`, which must outlive the tape.
    explicit Tape(Arena& arena) : arena_(arena) {}
    ~Tape() { clear(); }
    Tape(const Tape&) = delete;
    Tape& operator=(const Tape&) = delete;

    Arena& arena() { return arena_; }

    // --- for operations ---

    /// A tensor that lives as long as the node being built: outputs, and what backward needs.
    Tensor allocate(Shape shape, DType dtype);
    /// The same in the processor's memory, for numbers that are written or read without a kernel.
    Tensor host_tensor(Shape shape, DType dtype);
    /// The numbers of `tensor` where this tape's kernels find them: itself, or on a GPU a copy, made once for as long as `tensor` lives. What is absent
    /// stays absent.
    Tensor resident(const Tensor& tensor);
    AttentionRows resident(const AttentionRows& rows);
    DropoutRows resident(const DropoutRows& rows) { return {resident(rows.sequence), resident(rows.position)}; }
    /// The numbers of a tensor that a kernel has written, for the processor: itself, or a host_tensor(). Waits for the GPU.
    Tensor on_host(const Tensor& tensor);
    /// Makes `value` a variable. `needs_gradient` false for what no parameter and no earlier variable feeds.
    Var variable(Tensor value, bool needs_gradient = true);
    /// Ends the node: `function` is called during backward() when the gradients of the node's outputs are complete. `cost`: operation_cost.h
    template <class Function>
    void record(const OperationCost& cost, Function function);
    /// During backward(): the gradient that reached `output`; absent if nothing depends on it.
    const Tensor& gradient_of(Var output) const { return output.record_->gradient; }
    /// During backward(): where the gradient of `input` goes.
    GradientTarget gradient_target(Var input);
    /// The same for kernels that can only add: filled with zeros if this is the first contribution.
    Tensor gradient_sum(Var input);
    bool needs_gradient(Var input) const { return input.record_->needs_gradient; }
    /// Moves the gradient of `from`, which may be absent, to `to`: the same value on another tape over the same arena. No parameters.
    static void hand_over_gradient(Var from, Var to);

    /// To what the operands of matrix products are rounded (matmul.h).
    Rounding rounding() const { return rounding_; }
    bool bfloat16_products() const { return rounding_ == Rounding::bfloat16; }
    /// How the activations of a model with such parameters are stored: bfloat16 on a GPU that multiplies bfloat16.
    DType activation_dtype(DType parameters) const {
        return bfloat16_products() && arena_.device() != Device::cpu ? DType::bfloat16 : parameters;
    }

    /// The operations from here on are this part of the step, until another is entered.
    void enter(Phase phase) {
        phase_ = phase;
        if (clock_ != nullptr) clock_->enter(phase, Pass::forward);
    }

    // --- for models and trainers ---

    /// A value from outside (nothing is recorded).
    Var constant(Tensor value) { return variable(resident(value), false); }
    /// A parameter as an input of operations; what flows back is added to its gradient.
    Var parameter(const Parameter& parameter);
    /// When false, operations only compute: evaluation, fill, forward.
    bool recording() const { return recording_; }
    void set_recording(bool recording) { recording_ = recording; }
    void set_rounding(Rounding rounding) { rounding_ = rounding; }
    /// `clock`, if any, must outlive the tape: it is told time and cost of each phase, forward and backward.
    void set_clock(StepClock* clock) { clock_ = clock; }
    StepClock* clock() const { return clock_; }
    /// Runs the nodes in reverse. `output`'s gradient is `seed` (same shape); nodes and memory are released as they are passed.
    void backward(Var output, const Tensor& seed);
    /// As above for an output whose operation needs no incoming gradient (a loss that made its own): losses of operations.h.
    void backward();
    /// A place on the tape; see discard().
    using Mark = const void*;
    Mark mark() const { return last_; }
    /// When not recording: gives back what was computed since `since`, except the value `keep` and what was computed with it. Models call it
    /// after each block, so that a forward pass needs the memory of one block, not of all.
    void discard(Mark since, Var keep);
    /// Gives everything back to the arena.
    void clear();

private:
    struct Node {
        void (*run)(void* function) = nullptr;
        void* function = nullptr;
        void* blocks = nullptr;       // memory owned by the node, a chain by Arena::link()
        void* host_blocks = nullptr;  // the same in the arena's host()
        Var::Record* records = nullptr;
        Node* previous = nullptr;
        Phase phase = Phase::rest;
    };

    static void* take(Arena& arena, void*& chain, std::size_t bytes);
    void* take_on_host(std::size_t bytes) { return take(arena_.host(), open_.host_blocks, bytes); }
    void forget_copies(const void* begin, const void* end);
    void finish_node(const OperationCost& cost, void (*run)(void*), void* function);
    void release(Node* node);

    Arena& arena_;
    std::map<std::pair<const void*, std::int64_t>, Tensor>
        copies_;            // on a GPU: of the host's tensors, by address and bytes
    Node* last_ = nullptr;  // newest finished node
    Node open_;             // the node being built
    bool recording_ = true;
    Rounding rounding_ = Rounding::none;
    Phase phase_ = Phase::rest;
    StepClock* clock_ = nullptr;
};

template <class Function>
void Tape::record(const OperationCost& cost, Function function) {
    static_assert(std::is_trivially_destructible_v<Function>,
                  "closures live in the arena: capture tensors and handles only");
    if (!recording_) return finish_node(cost, nullptr, nullptr);
    void* memory = new (take_on_host(sizeof(Function))) Function(std::move(function));
    finish_node(
        cost, [](void* stored) { (*static_cast<Function*>(stored))(); }, memory);
}

}  // namespace locus
