#include <algorithm>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "model/error.h"
#include "model/hugging_face.h"
#include "train/configuration/checks.h"
#include "train/configuration/schema.h"
#include "train/error.h"
#include "train/model_folder.h"

namespace locus {

namespace {

bool is_model_key(const ConfigurationKey& key) { return key.path.rfind("model.", 0) == 0; }

/// Whole numbers that are no size of a tensor may be chosen anew. The longest sequence may: a learned table of positions can be
/// lengthened, and where another table has its size, loading the weights says so.
bool decides_shapes(const ConfigurationKey& key) {
    return key.path != "model.attention.window" && key.path != "model.max_length" && key.path != "model.decoder_passes";
}

ModelSettings settings_of_model(const std::string& model) {
    const std::filesystem::path file = resolve_model_folder(model) / "config.json";
    std::ifstream stream(file, std::ios::binary);
    if (!stream)
        throw FileError(fmt::format("{}: cannot be read; train.init_from needs a model folder", file.string()));
    const std::string json{std::istreambuf_iterator<char>(stream), {}};
    try {
        return settings_from_hugging_face(json);
    } catch (const ModelError& error) {
        throw FileError(fmt::format("{}: {}", file.string(), error.what()));
    }
}

/// Copies a setting of the model, or compares it with the one that was given. Dropout, epsilons and the position encoding may be chosen anew;
/// what decides the shape of tensors may not (an encoding's tables are compared when the weights are loaded).
struct Adopt {
    bool is_given;
    bool agrees = true;
    std::string ours{}, theirs{};

    void operator()(std::int64_t* mine, std::int64_t* other) {
        if (!is_given) *mine = *other;
        agrees = *mine == *other;
        ours = std::to_string(*mine);
        theirs = std::to_string(*other);
    }
    template <class T>
    void operator()(T* mine, T* other) const {
        if (!is_given) *mine = *other;
    }
    void operator()(NumberPair, NumberPair) const {}
    template <class T, class U>
    void operator()(T, U) const {}  // both tables have the same order, so the types are the same
};

}  // namespace

void adopt_initial_model(Settings& settings, const GivenKeys& given, Mistakes& mistakes) {
    if (settings.train.init_from.empty()) return;
    const std::vector<ConfigurationKey> keys = configuration_keys(settings);
    const bool all_given = std::all_of(keys.begin(), keys.end(), [&](const ConfigurationKey& key) {
        return !is_model_key(key) || given.has(key.path);
    });
    if (all_given) return;
    Settings theirs;
    theirs.model = settings_of_model(settings.train.init_from);
    const std::vector<ConfigurationKey> their_keys = configuration_keys(theirs);
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (!is_model_key(keys[i])) continue;
        Adopt adopt{given.has(keys[i].path)};
        std::visit(adopt, keys[i].target, their_keys[i].target);
        if (adopt.agrees || !decides_shapes(keys[i])) continue;
        mistakes.add(
            given.place({keys[i].path.c_str()}),
            fmt::format(
                "{} is {}, but the model of train.init_from has {}; remove the key, and it is taken from the model",
                keys[i].path, adopt.ours, adopt.theirs));
    }
}

}  // namespace locus
