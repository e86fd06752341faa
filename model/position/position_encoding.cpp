#include "model/position/position_encoding.h"

#include <algorithm>

#include "model/error.h"

namespace locus {
namespace {

std::string names_of(const std::vector<EncodingEntry>& entries) {
    std::string names;
    for (const EncodingEntry& entry : entries) {
        if (!names.empty()) names += ", ";
        names += entry.name;
    }
    return names;
}

const EncodingEntry& known_encoding(std::string_view name) {
    const EncodingEntry* entry = find_encoding(name);
    if (entry == nullptr) {
        throw ModelError("model.position: there is no encoding " + std::string(name) +
                         "; there are: " + names_of(encoding_registry()));
    }
    return *entry;
}

// Every option that the file declares must be there, and no other.
void check_options(const EncodingEntry& entry, const PositionSettings& position) {
    for (const auto& [name, value] : position.options) {
        const bool known = std::any_of(entry.options.begin(), entry.options.end(),
                                       [&name = name](const EncodingOption& option) { return option.name == name; });
        if (!known) throw ModelError("model.position: " + position.encoding + " has no option " + name);
    }
    for (const EncodingOption& option : entry.options) {
        const auto found = position.options.find(std::string(option.name));
        if (found == position.options.end() || found->second.index() != option.initial.index()) {
            throw ModelError("model.position: option " + std::string(option.name) + " of " + position.encoding +
                             " is missing or of the wrong type");
        }
    }
}

}  // namespace

// The empty defaults of the hooks: an encoding overrides those that it needs.
void PositionEncoding::declare_embedding_parameters(Parameters&, const std::string&) {}
void PositionEncoding::declare_layer_parameters(Parameters&, const std::string&) {}
Var PositionEncoding::embed(Tape&, Var x, const ModelInput&) const { return x; }
void PositionEncoding::rotate(Tape&, HeadColumns&, HeadColumns&, const ModelInput&) const {}
void PositionEncoding::relate(Tape&, std::int64_t, const ModelInput&, AttentionScore&) const {}
Var PositionEncoding::decode(Tape&, Var query, const ModelInput&) const { return query; }

const EncodingEntry* find_encoding(std::string_view name) {
    for (const EncodingEntry& entry : encoding_registry()) {
        if (entry.name == name) return &entry;
    }
    return nullptr;
}

PositionSettings default_position(std::string_view encoding) {
    const EncodingEntry& entry = known_encoding(encoding);
    PositionSettings position;
    position.encoding = entry.name;
    for (const EncodingOption& option : entry.options) position.options[std::string(option.name)] = option.initial;
    return position;
}

std::vector<std::unique_ptr<PositionEncoding>> make_encodings(const ModelSettings& settings) {
    std::vector<std::unique_ptr<PositionEncoding>> encodings;
    const PositionSettings* key_table_owner = nullptr;
    for (std::size_t n = 0; n < settings.position.size(); ++n) {
        const PositionSettings& position = settings.position[n];
        const EncodingEntry& entry = known_encoding(position.encoding);
        check_options(entry, position);
        for (std::size_t earlier = 0; earlier < n; ++earlier) {
            if (settings.position[earlier].encoding == position.encoding) {
                throw ModelError("model.position lists " + position.encoding + " twice");
            }
        }
        if (entry.uses_key_table && key_table_owner != nullptr) {
            throw ModelError("model.position: " + key_table_owner->encoding + " and " + position.encoding +
                             " both set the content-to-position term; take one of them");
        }
        if (entry.uses_key_table) key_table_owner = &position;
        encodings.push_back(entry.make(settings, position));
    }
    return encodings;
}

}  // namespace locus
