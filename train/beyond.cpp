#include "train/beyond.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/device.h"

namespace locus {

namespace {

/// What an encoding's `beyond` may be; nothing when it has no such option.
std::vector<std::string> choices_of(const PositionSettings& position) {
    for (const EncodingOption& option : find_encoding(position.encoding)->options)
        if (option.name == "beyond") return {option.choices.begin(), option.choices.end()};
    return {};
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::vector<std::string> beyond_policies(const ModelSettings& settings) {
    std::vector<std::string> policies;
    for (const PositionSettings& position : settings.position)
        for (const std::string& choice : choices_of(position))
            if (!contains(policies, choice)) policies.push_back(choice);
    return policies;
}

ModelSettings with_beyond(ModelSettings settings, const std::string& policy) {
    for (PositionSettings& position : settings.position)
        if (contains(choices_of(position), policy)) position.options["beyond"] = policy;
    return settings;
}

std::string beyond_of(const ModelSettings& settings) {
    for (const PositionSettings& position : settings.position) {
        const auto option = position.options.find("beyond");
        if (option != position.options.end()) return std::get<std::string>(option->second);
    }
    return {};
}

std::int64_t longest_sequence(const ModelSettings& settings) {
    std::int64_t longest = 0;
    for (const auto& encoding : make_encodings(settings)) {
        const std::int64_t limit = encoding->longest_sequence();
        if (limit > 0 && (longest == 0 || limit < longest)) longest = limit;
    }
    return longest;
}

bool reaches_beyond(const ModelSettings& settings, std::int64_t length) {
    ModelSettings strict = with_beyond(settings, "error");
    std::erase_if(strict.position, [](const PositionSettings& position) { return choices_of(position).empty(); });
    const std::int64_t longest = longest_sequence(strict);
    return longest > 0 && length > longest;
}

std::unique_ptr<MaskedLanguageModel> copy_with(const MaskedLanguageModel& model, const ModelSettings& settings) {
    auto copy = std::make_unique<MaskedLanguageModel>(settings, model.arithmetic());
    copy->move_to(model.device());
    const Tensor from = model.parameters().values(), to = copy->parameters().values();
    if (from.count() != to.count()) throw std::logic_error("copy_with: the settings declare other parameters");
    locus::copy(from, to);
    return copy;
}

}  // namespace locus
