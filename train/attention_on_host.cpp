#include "train/attention_on_host.h"

namespace locus {
namespace {

/// Elements from a tensor's first to its last, those between its rows included.
std::int64_t extent(const Tensor& x) {
    std::int64_t last = 0;
    for (int axis = 0; axis < x.shape.rank(); ++axis) last += (x.shape[axis] - 1) * x.strides[axis];
    return last + 1;
}

/// Tensors with free strides, such as columns of one product, are copied with what lies between their rows.
void to_host(Tensor& x, std::deque<HostCopy>& memory) {
    if (x.device == Device::cpu || !x || x.count() == 0) return;
    memory.emplace_back(Tensor(x.data, {extent(x)}, x.dtype, x.device));
    x.data = memory.back().tensor().data;
    x.device = Device::cpu;
}

}  // namespace

ComputedAttention attention_on_host(const ComputedAttention& computed, std::deque<HostCopy>& memory) {
    ComputedAttention here = computed;
    AttentionForward& forward = here.forward;
    AttentionTerms& terms = forward.terms;
    const bool is_rotated = computed.unrotated_q.data != forward.q.data;
    forward.dropout_rows = {};
    for (Tensor* const x :
         {&forward.q, &forward.k, &forward.value, &forward.out, &forward.log_sum_exp, &forward.q_rows.offsets,
          &forward.q_rows.positions, &forward.k_rows.offsets, &forward.k_rows.positions, &terms.content_bias,
          &terms.position_bias, &terms.sequence_scale})
        to_host(*x, memory);
    for (RelativeTable* const table : {&terms.key_table, &terms.query_table, &terms.value_table}) {
        to_host(table->rows, memory);
        to_host(table->row_of_distance, memory);
    }
    for (Tensor& bias : terms.biases) to_host(bias, memory);
    for (AttentionChannels& channels : terms.channels) {
        to_host(channels.query, memory);
        to_host(channels.key, memory);
    }
    if (is_rotated) {
        to_host(here.unrotated_q, memory);
        to_host(here.unrotated_k, memory);
    } else {
        here.unrotated_q = forward.q;
        here.unrotated_k = forward.k;
    }
    return here;
}

}  // namespace locus
