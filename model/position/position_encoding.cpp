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

const char* name_of(ScoreTerm term) {
    switch (term) {
        case ScoreTerm::key_table: return "the content-to-position term";
        case ScoreTerm::query_table: return "the position-to-content term";
        case ScoreTerm::value_table: return "the vectors added to the values";
        case ScoreTerm::content_bias: return "the global content vector";
        case ScoreTerm::position_bias: return "the global position vector";
        case ScoreTerm::position_product: return "the position-to-position term";
        case ScoreTerm::scale: return "the scale of the score";
        case ScoreTerm::positions: return "the positions of the tokens";
    }
    return "?";
}

void check_pair(const EncodingEntry& first, const EncodingEntry& second) {
    const std::string names = std::string(first.name) + " and " + std::string(second.name);
    if (first.name == second.name) throw ModelError("model.position lists " + std::string(first.name) + " twice");
    for (const ScoreTerm term : first.terms) {
        if (std::find(second.terms.begin(), second.terms.end(), term) == second.terms.end()) continue;
        throw ModelError("model.position: " + names + " both set " + name_of(term) + "; take one of them");
    }
}

// What one encoding draws must fit into the tables of the others.
void check_drawn_positions(const ModelSettings& settings, const PositionEncodings& encodings) {
    for (std::size_t from = 0; from < encodings.size(); ++from) {
        for (std::size_t in = 0; in < encodings.size(); ++in) {
            const std::int64_t drawn = encodings[from]->drawn_positions(), limit = encodings[in]->longest_sequence();
            if (limit == 0 || drawn <= limit) continue;
            throw ModelError("model.position: " + settings.position[from].encoding + " draws from " +
                             std::to_string(drawn) + " positions, and " + settings.position[in].encoding +
                             " takes no more than " + std::to_string(limit) +
                             "; raise model.max_length or draw from fewer");
        }
    }
}

}  // namespace

// The empty defaults of the hooks: an encoding overrides those that it needs.
void PositionEncoding::declare_embedding_parameters(Parameters&, const std::string&) {}
void PositionEncoding::declare_encoder_parameters(Parameters&, const std::string&) {}
void PositionEncoding::declare_layer_parameters(Parameters&, const std::string&) {}
ModelInput PositionEncoding::renumber(Tape&, const ModelInput& input, const RunMode&) const { return input; }
Var PositionEncoding::embed(Tape&, Var x, const ModelInput&) const { return x; }
Var PositionEncoding::rotate(Tape&, Var x, std::int64_t, Tensor, const ModelInput&) const { return x; }
void PositionEncoding::relate(Tape&, const LayerContext&, const ModelInput&, AttentionScore&) const {}
Var PositionEncoding::decode(Tape&, Var x, Tensor, const ModelInput&) const { return x; }
std::string PositionEncoding::untrained_rows(std::int64_t) const { return {}; }

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

std::string encoding_names(const ModelSettings& settings) {
    std::string names;
    for (const PositionSettings& position : settings.position) names += (names.empty() ? "" : "+") + position.encoding;
    return settings.has_enhanced_decoder() ? names + "+enhanced" : names;
}

void complete_positions(ModelSettings& settings) {
    std::vector<PositionSettings>& list = settings.position;
    const auto is = [](const char* name) { return [name](const PositionSettings& p) { return p.encoding == name; }; };
    if (!settings.has_enhanced_decoder() || std::any_of(list.begin(), list.end(), is("absolute"))) return;
    list.erase(std::remove_if(list.begin(), list.end(), is("none")), list.end());
    list.push_back(default_position("absolute"));
    list.back().options["site"] = std::string("output");
}

std::string describe_unreached(const std::vector<bool>& reached, const std::string& name) {
    std::string text;
    for (std::size_t row = 0; row < reached.size(); ++row) {
        if (reached[row]) continue;
        const std::size_t first = row;
        while (row + 1 < reached.size() && !reached[row + 1]) ++row;
        text += (text.empty() ? "rows " : " and ") + std::to_string(first);
        if (row > first) text += " to " + std::to_string(row);
    }
    return text.empty() ? text : text + " of " + name;
}

PositionEncodings make_encodings(const ModelSettings& settings) {
    PositionEncodings encodings;
    for (std::size_t n = 0; n < settings.position.size(); ++n) {
        const PositionSettings& position = settings.position[n];
        const EncodingEntry& entry = known_encoding(position.encoding);
        check_options(entry, position);
        for (std::size_t earlier = 0; earlier < n; ++earlier)
            check_pair(known_encoding(settings.position[earlier].encoding), entry);
        encodings.push_back(entry.make(settings, position));
    }
    check_drawn_positions(settings, encodings);
    return encodings;
}

}  // namespace locus
