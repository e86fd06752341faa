#pragma once
// The parts of a training step as a reader of the papers names them. The model says which one it is in (Tape::enter); the trainer adds its own three.

#include <cstdint>

namespace locus {

enum class Phase : std::uint8_t {
    embedding,
    position_encoding,  // what an encoding computes itself; its terms of the score are part of the attention
    query_key_value,
    attention,
    attention_output,
    feed_forward,
    layer_norm,  // with the residual and the dropout before it
    convolution,
    head_transform,
    head_product,
    cross_entropy,
    zero_gradients,
    gradient_norm,
    adamw,
    rest  // of the step: batches, sums of losses, the time between the others
};
constexpr int phase_count = static_cast<int>(Phase::rest) + 1;

/// The way through the model, or what follows it.
enum class Pass : std::uint8_t { forward, backward, update };
constexpr int pass_count = static_cast<int>(Pass::update) + 1;

/// "query, key, value".
const char* name_of(Phase phase);
/// "forward", "backward", "update".
const char* name_of(Pass pass);

}  // namespace locus
