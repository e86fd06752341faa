#pragma once
// What an attention read, in the processor's memory, for whoever takes it apart there.

#include <deque>

#include "kernels/device.h"
#include "model/forward_visitor.h"

namespace locus {

/// The same attention over copies of its tensors in the processor's memory, which live in `memory`; an attention that was computed there is returned as it is.
/// Rows that dropout counts are left out.
ComputedAttention attention_on_host(const ComputedAttention& computed, std::deque<HostCopy>& memory);

}  // namespace locus
