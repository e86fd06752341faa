#include <fmt/format.h>
#include <yaml-cpp/emitter.h>
#include <yaml-cpp/emittermanip.h>

#include "train/configuration.h"
#include "train/configuration/schema.h"
#include "train/configuration/values.h"

namespace locus {

namespace {

/// Keys whose presence would mean something else than the settings say.
bool is_written(const ConfigurationKey& key, const Settings& settings) {
    const bool synthetic = settings.data.synthetic.enabled, probe = !settings.data.probe.name.empty();
    if (key.path == "data.probe") return probe;
    if (probe && is_text_key(key.path)) return false;
    if (key.section() == "data.synthetic") return synthetic;
    if (key.path == "data.train" || key.path == "data.valid") return !synthetic;
    if (key.path == "data.tokenizer.path") return !settings.data.tokenizer.path.empty();
    if (key.section() == "data.tokenizer")
        return settings.data.tokenizer.path.empty() && settings.train.init_from.empty();
    if (key.path == "data.masking.longest_span") return settings.data.masking.unit == "span";
    if (key.path == "model.decoder_passes") return settings.model.has_enhanced_decoder();
    if (key.path == "model.convolution.activation") return settings.model.convolution.kernel > 0;
    if (key.path == "train.init_from") return !settings.train.init_from.empty();
    return true;
}

std::string write_option(const OptionValue& value) {
    if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
    if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
    if (const double* number = std::get_if<double>(&value)) return write_number(*number);
    return std::get<std::string>(value);
}

void write_position(YAML::Emitter& out, const PositionSettings& position) {
    out << YAML::BeginMap << YAML::Key << "encoding" << YAML::Value << position.encoding;
    for (const auto& [name, value] : position.options) out << YAML::Key << name << YAML::Value << write_option(value);
    out << YAML::EndMap;
}

void write_probe_option(YAML::Emitter& out, const ProbeOptionValue& value) {
    if (const auto* integer = std::get_if<std::int64_t>(&value)) {
        out << std::to_string(*integer);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
        out << *text;
    } else {
        out << YAML::Flow << YAML::BeginSeq;
        for (const std::int64_t number : std::get<std::vector<std::int64_t>>(value)) out << std::to_string(number);
        out << YAML::EndSeq;
    }
}

void write_probe(YAML::Emitter& out, const ProbeSettings& probe) {
    out << YAML::BeginMap << YAML::Key << "name" << YAML::Value << probe.name;
    out << YAML::Key << "seed" << YAML::Value << std::to_string(probe.seed);
    for (const auto& [name, value] : probe.options) {
        out << YAML::Key << name << YAML::Value;
        write_probe_option(out, value);
    }
    out << YAML::EndMap;
}

struct ValueWriter {
    YAML::Emitter& out;

    void operator()(const std::string* text) const { out << *text; }
    void operator()(const bool* flag) const { out << (*flag ? "true" : "false"); }
    void operator()(const std::int64_t* integer) const { out << std::to_string(*integer); }
    void operator()(const std::uint32_t* integer) const { out << std::to_string(*integer); }
    void operator()(const double* number) const { out << write_number(*number); }
    void operator()(NumberPair pair) const {
        out << YAML::Flow << YAML::BeginSeq << write_number(*pair.first) << write_number(*pair.second) << YAML::EndSeq;
    }
    void operator()(const std::vector<std::string>* texts) const {
        out << YAML::Flow << YAML::BeginSeq;
        for (const std::string& text : *texts) out << text;
        out << YAML::EndSeq;
    }
    void operator()(const ProbeSettings* probe) const { write_probe(out, *probe); }
    void operator()(const std::vector<PositionSettings>* positions) const {
        if (positions->size() == 1) return write_position(out, positions->front());
        out << YAML::BeginSeq;
        for (const PositionSettings& position : *positions) write_position(out, position);
        out << YAML::EndSeq;
    }
};

std::vector<std::string> split(const std::string& path) {
    std::vector<std::string> names;
    std::size_t begin = 0;
    for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', begin)) {
        names.push_back(path.substr(begin, dot - begin));
        begin = dot + 1;
    }
    names.push_back(path.substr(begin));
    return names;
}

/// Closes and opens mappings until those of `wanted` are open.
void move_to_section(YAML::Emitter& out, std::vector<std::string>& open, const std::vector<std::string>& wanted) {
    std::size_t common = 0;
    while (common < open.size() && common < wanted.size() && open[common] == wanted[common]) ++common;
    for (; open.size() > common; open.pop_back()) out << YAML::EndMap;
    for (; open.size() < wanted.size(); open.push_back(wanted[open.size()])) {
        out << YAML::Key << wanted[open.size()] << YAML::Value << YAML::BeginMap;
    }
}

}  // namespace

std::string write_configuration(const Settings& settings) {
    Settings copy = settings;  // the table binds to settings that may be changed
    YAML::Emitter out;
    out << YAML::BeginMap;
    std::vector<std::string> open;
    for (const ConfigurationKey& key : configuration_keys(copy)) {
        if (!is_written(key, settings)) continue;
        move_to_section(out, open, split(key.section()));
        out << YAML::Key << key.name() << YAML::Value;
        std::visit(ValueWriter{out}, key.target);
        const bool one_line = !std::holds_alternative<std::vector<PositionSettings>*>(key.target) &&
                              !std::holds_alternative<ProbeSettings*>(key.target);
        if (one_line) out << YAML::Comment(key.help);
    }
    move_to_section(out, open, {});
    out << YAML::EndMap;
    return std::string(out.c_str()) + "\n";
}

}  // namespace locus
