// The list of encodings: one line each.
#include "model/position/position_encoding.h"

namespace locus {

EncodingEntry none_encoding();
EncodingEntry absolute_encoding();
EncodingEntry sinusoidal_encoding();
EncodingEntry scalar_encoding();
EncodingEntry hybrid_encoding();
EncodingEntry rnn_encoding();
EncodingEntry recursive_encoding();
EncodingEntry linear_recurrence_encoding();
EncodingEntry additive_relative_encoding();
EncodingEntry relative_key_encoding();
EncodingEntry relative_key_query_encoding();
EncodingEntry t5_bias_encoding();
EncodingEntry alibi_encoding();
EncodingEntry rope_encoding();
EncodingEntry disentangled_encoding();
EncodingEntry shaw_encoding();
EncodingEntry kerple_encoding();
EncodingEntry fire_encoding();
EncodingEntry transformer_xl_encoding();
EncodingEntry log_cpb_encoding();
EncodingEntry tupe_encoding();
EncodingEntry randomized_encoding();
EncodingEntry shape_encoding();
EncodingEntry convolutional_encoding();

const std::vector<EncodingEntry>& encoding_registry() {
    // clang-format off
    static const std::vector<EncodingEntry> registry = {
        none_encoding(),
        absolute_encoding(),
        sinusoidal_encoding(),
        scalar_encoding(),
        hybrid_encoding(),
        rnn_encoding(),
        recursive_encoding(),
        linear_recurrence_encoding(),
        additive_relative_encoding(),
        relative_key_encoding(),
        relative_key_query_encoding(),
        t5_bias_encoding(),
        alibi_encoding(),
        rope_encoding(),
        disentangled_encoding(),
        shaw_encoding(),
        kerple_encoding(),
        fire_encoding(),
        transformer_xl_encoding(),
        log_cpb_encoding(),
        tupe_encoding(),
        randomized_encoding(),
        shape_encoding(),
        convolutional_encoding(),
    };
    // clang-format on
    return registry;
}

}  // namespace locus
