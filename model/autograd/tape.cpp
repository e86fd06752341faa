#include "model/autograd/tape.h"

#include <algorithm>

#include "kernels/add.h"
#include "kernels/device.h"

namespace locus {
namespace {

// Calls `before` with the bounds of each block of the chain, then gives it back.
template <class Before>
void give_back_chain(Arena& arena, void* block, const Before& before) {
    while (block != nullptr) {
        void* const next = arena.link(block);
        before(block, static_cast<char*>(block) + arena.size_of_block(block));
        arena.give_back(block);
        block = next;
    }
}

}  // namespace

void* Tape::take(Arena& arena, void*& chain, std::size_t bytes) {
    void* const memory = arena.take(bytes);
    arena.link(memory) = std::exchange(chain, memory);
    return memory;
}

Tensor Tape::allocate(Shape shape, DType dtype) {
    void* const memory = take(arena_, open_.blocks, static_cast<std::size_t>(shape.count() * size_of(dtype)));
    return Tensor(memory, shape, dtype, arena_.device());
}

Tensor Tape::host_tensor(Shape shape, DType dtype) {
    return Tensor(take_on_host(static_cast<std::size_t>(shape.count() * size_of(dtype))), shape, dtype);
}

Tensor Tape::resident(const Tensor& tensor) {
    if (!tensor || tensor.device == arena_.device()) return tensor;
    Tensor& there = copies_[{tensor.data, tensor.bytes()}];
    if (!there) {
        there = arena_.tensor(tensor.shape, tensor.dtype);
        copy(tensor, there);
    }
    return there.reshape(tensor.shape);
}

AttentionRows Tape::resident(const AttentionRows& rows) {
    std::int64_t longest = rows.longest;
    if (rows.offsets.device == Device::cpu) {
        const auto* const offsets = rows.offsets.as<std::int32_t>();
        for (std::int64_t s = 0; s + 1 < rows.offsets.count(); ++s)
            longest = std::max<std::int64_t>(longest, offsets[s + 1] - offsets[s]);
    }
    return {resident(rows.offsets), resident(rows.positions), longest};
}

Tensor Tape::on_host(const Tensor& tensor) {
    if (!tensor || tensor.device == Device::cpu) return tensor;
    const Tensor here = host_tensor(tensor.shape, tensor.dtype);
    copy(tensor, here);
    return here;
}

// The host's memory from `begin` to `end` is about to hold something else.
void Tape::forget_copies(const void* begin, const void* end) {
    const auto first = copies_.lower_bound({begin, 0}), last = copies_.lower_bound({end, 0});
    for (auto copy = first; copy != last; ++copy) arena_.give_back(copy->second.data);
    copies_.erase(first, last);
}

Var Tape::variable(Tensor value, bool needs_gradient) {
    open_.records = new (take_on_host(sizeof(Var::Record)))
        Var::Record{value, Tensor(), open_.records, needs_gradient && recording_, false};
    return Var(open_.records);
}

Var Tape::parameter(const Parameter& parameter) {
    Var variable = this->variable(parameter.value);
    variable.record_->gradient = parameter.gradient;
    variable.record_->is_parameter = true;
    variable.record_->rounded = parameter.rounded;
    return variable;
}

GradientTarget Tape::gradient_target(Var input) {
    Var::Record& record = *input.record_;
    if (record.gradient) return {record.gradient, true};
    record.gradient = arena_.tensor(record.value.shape, record.value.dtype);
    return {record.gradient, false};
}

Tensor Tape::gradient_sum(Var input) {
    const GradientTarget target = gradient_target(input);
    if (!target.accumulate) fill_zeros(target.tensor);
    return target.tensor;
}

void Tape::hand_over_gradient(Var from, Var to) {
    LOCUS_CHECK(!from.record_->is_parameter && !to.record_->is_parameter, "hand_over_gradient",
                "a parameter keeps its gradient");
    LOCUS_CHECK(!to.record_->gradient, "hand_over_gradient", "there is a gradient already");
    to.record_->gradient = std::exchange(from.record_->gradient, Tensor());
}

void Tape::finish_node(const OperationCost& cost, void (*run)(void*), void* function) {
    if (clock_ != nullptr) {
        clock_->add(phase_, Pass::forward, cost.forward);
        if (recording_) clock_->add(phase_, Pass::backward, cost.backward);
    }
    void* const memory = take_on_host(sizeof(Node));
    Node* const node = new (memory) Node(open_);
    node->run = run;
    node->function = function;
    node->previous = last_;
    node->phase = phase_;
    last_ = node;
    open_ = Node();
}

void Tape::release(Node* node) {
    for (Var::Record* record = node->records; record != nullptr; record = record->next) {
        if (record->gradient && !record->is_parameter) arena_.give_back(record->gradient.data);
    }
    give_back_chain(arena_, node->blocks, [](const void*, const void*) {});
    // The node, its records and its closure lie in these blocks themselves.
    give_back_chain(arena_.host(), node->host_blocks,
                    [&](const void* begin, const void* end) { forget_copies(begin, end); });
}

void Tape::backward() {
    while (last_ != nullptr) {
        Node* const node = last_;
        if (clock_ != nullptr) clock_->enter(node->phase, Pass::backward);
        if (node->run != nullptr) node->run(node->function);
        last_ = node->previous;
        release(node);
    }
}

void Tape::backward(Var output, const Tensor& seed) {
    const GradientTarget target = gradient_target(output);
    LOCUS_CHECK(seed.shape == target.tensor.shape && seed.dtype == target.tensor.dtype, "backward",
                "seed " + seed.shape.to_string() + " for an output " + target.tensor.shape.to_string());
    if (target.accumulate) {
        add({.x = seed, .y = target.tensor});
    } else {
        copy(seed, target.tensor);
    }
    backward();
}

void Tape::discard(Mark since, Var keep) {
    if (recording_) return;
    Node* kept = nullptr;
    while (last_ != since) {
        LOCUS_CHECK(last_ != nullptr, "discard", "the mark is not on this tape");
        Node* const node = last_;
        last_ = node->previous;
        bool owns_keep = false;
        for (Var::Record* record = node->records; record != nullptr; record = record->next) {
            owns_keep = owns_keep || record == keep.record_;
        }
        if (owns_keep) {
            kept = node;
        } else {
            release(node);
        }
    }
    if (kept != nullptr) {
        kept->previous = last_;
        last_ = kept;
    }
}

void Tape::clear() {
    while (last_ != nullptr) {
        Node* const node = last_;
        last_ = node->previous;
        release(node);
    }
    release(&open_);
    open_ = Node();
    for (const auto& [where, there] : copies_) arena_.give_back(there.data);
    copies_.clear();
}

}  // namespace locus
