// The list of encodings: one line each.
#include "model/position/position_encoding.h"

namespace locus {

EncodingEntry none_encoding();
EncodingEntry absolute_encoding();
EncodingEntry sinusoidal_encoding();
EncodingEntry relative_key_encoding();

const std::vector<EncodingEntry>& encoding_registry() {
    static const std::vector<EncodingEntry> registry = {
        none_encoding(),
        absolute_encoding(),
        sinusoidal_encoding(),
        relative_key_encoding(),
    };
    return registry;
}

}  // namespace locus
