#include "model/autograd/phase.h"

namespace locus {

const char* name_of(Phase phase) {
    switch (phase) {
        case Phase::embedding: return "embedding";
        case Phase::position_encoding: return "position encoding";
        case Phase::query_key_value: return "query, key, value";
        case Phase::attention: return "attention";
        case Phase::attention_output: return "attention output";
        case Phase::feed_forward: return "feed-forward";
        case Phase::layer_norm: return "layer norm";
        case Phase::convolution: return "convolution";
        case Phase::head_transform: return "masked head transform";
        case Phase::head_product: return "masked head product";
        case Phase::cross_entropy: return "cross-entropy";
        case Phase::zero_gradients: return "zero gradients";
        case Phase::gradient_norm: return "gradient norm (clip)";
        case Phase::adamw: return "AdamW";
        case Phase::rest: return "the rest";
    }
    return "?";
}

const char* name_of(Pass pass) {
    switch (pass) {
        case Pass::forward: return "forward";
        case Pass::backward: return "backward";
        case Pass::update: return "update";
    }
    return "?";
}

}  // namespace locus
