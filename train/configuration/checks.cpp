#include "train/configuration/checks.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <fmt/format.h>

#include "data/error.h"
#include "data/probes/probe_batches.h"
#include "model/error.h"
#include "model/position/position_encoding.h"
#include "train/configuration/schema.h"
#include "train/configuration/values.h"
#include "train/device_name.h"
#include "train/error.h"
#include "train/plan.h"

namespace locus {

namespace {

/// One pass over a configuration: the settings, what was given, and where mistakes go.
struct Check {
    Settings& settings;
    const GivenKeys& given;
    Mistakes& mistakes;

    void tell(std::initializer_list<const char*> keys, const std::string& what) const {
        mistakes.add(given.place(keys), what);
    }
};

void complete_run(const Check& check, const std::string& stem) {
    RunSettings& run = check.settings.run;
    if (!check.given.has("run.name")) run.name = stem;
    const bool plain =
        !run.name.empty() && run.name != "." && run.name != ".." && run.name.find('/') == std::string::npos;
    if (!plain && check.given.usable({"run.name"})) {
        check.tell(
            {"run.name"},
            fmt::format("run.name: \"{}\" cannot name a folder; run.directory says where the folder lies", run.name));
    }
    if (!check.given.usable({"run.device", "run.precision"})) return;
    try {
        run.device = name_of(device_named(run.device, arithmetic_named(run.precision)));
    } catch (const ConfigurationError& error) {
        check.tell({"run.device", "run.precision"}, fmt::format("run.{}", error.what()));
    }
}

/// A probe brings everything of its own, and stands without [CLS] and [SEP] unless they are asked for.
void complete_probe(const Check& check) {
    DataSettings& data = check.settings.data;
    for (const auto& [path, place] : check.given.places) {
        const bool synthetic = path == "data.synthetic" && data.synthetic.enabled;
        if (!is_text_key(path) && !synthetic) continue;
        check.mistakes.add(place, fmt::format("{} and data.probe are both given; a probe makes its own sequences, "
                                              "words and targets, so remove one of them",
                                              path));
    }
    if (!check.given.has("data.boundary")) data.boundary = "none";
    data.probe.train_length = probe_length(data);
    if (!check.given.usable({"data.probe", "data.sequence_length", "data.boundary"})) return;
    try {
        check_probe(data.probe, data.probe.train_length);
    } catch (const DataError& error) {
        check.tell({"data.probe", "data.sequence_length"}, error.what());
    }
}

void check_corpus(const Check& check) {
    const DataSettings& data = check.settings.data;
    if (check.given.has("data.probe")) return complete_probe(check);
    if (!check.given.usable({"data.train", "data.valid"})) return;
    const bool synthetic = data.synthetic.enabled, files = !data.train.empty(), valid = !data.valid.empty();
    if (synthetic && (files || valid)) {
        const char* key = files ? "data.train" : "data.valid";
        check.tell(
            {key, "data.synthetic"},
            fmt::format(
                "{} and data.synthetic are both given; training reads files or the synthetic corpus, so remove one",
                key));
    }
    if (!synthetic && files && !valid) {
        check.tell({"data.train"},
                   "data.train is given without data.valid; training needs held-out text to validate on");
    }
    if (!synthetic && !files) {
        check.tell({"data.train", "data.synthetic", "data"},
                   "data: neither data.train (a list of files) nor data.synthetic ({} for its defaults) nor data.probe "
                   "is given");
    }
}

void check_tokenizer(const Check& check) {
    const bool has_path = !check.settings.data.tokenizer.path.empty();
    const bool has_model = !check.settings.train.init_from.empty();
    if (!has_path && !has_model) return;
    const char* source = has_path ? "data.tokenizer.path" : "train.init_from";
    for (const char* key :
         {"type", "vocab_size", "lowercase", "strip_accents", "split_chinese", "character_coverage"}) {
        const std::string path = fmt::format("data.tokenizer.{}", key);
        if (!check.given.has(path)) continue;
        check.tell({path.c_str()},
                   fmt::format("{} has no effect beside {}, which brings a finished tokenizer; remove one of them",
                               path, source));
    }
}

void check_masking(const Check& check) {
    const MaskingSettings& masking = check.settings.data.masking;
    if (check.given.usable({"data.masking.unit"}) && check.given.has("data.masking.longest_span") &&
        masking.unit != "span") {
        check.tell(
            {"data.masking.longest_span"},
            fmt::format("data.masking.longest_span has no effect with data.masking.unit {}; remove it, or write span",
                        masking.unit));
    }
    if (!check.given.usable({"data.masking.mask", "data.masking.random", "data.masking.keep"})) return;
    const double sum = masking.mask + masking.random + masking.keep;
    if (std::abs(sum - 1.0) <= 1e-6) return;
    check.tell({"data.masking.mask", "data.masking.random", "data.masking.keep"},
               fmt::format("data.masking: mask {}, random {} and keep {} add up to {}, and must add up to 1",
                           write_number(masking.mask), write_number(masking.random), write_number(masking.keep),
                           fmt::format("{:.6g}", sum)));
}

void check_shape(const Check& check) {
    const ModelSettings& model = check.settings.model;
    if (!check.given.usable({"model.hidden", "model.heads"}) || model.hidden % model.heads == 0) return;
    check.tell({"model.heads", "model.hidden"},
               fmt::format("model.hidden {} is not a multiple of model.heads {}", model.hidden, model.heads));
}

/// What DeBERTa does unlike BERT, where the configuration does not say otherwise. A model of train.init_from has brought its own.
void complete_architecture(const Check& check) {
    ModelSettings& model = check.settings.model;
    if (model.architecture == "bert" || !check.settings.train.init_from.empty()) return;
    if (!check.given.has("model.position")) model.position = {default_position("disentangled")};
    if (!check.given.has("model.mask_decoder")) model.mask_decoder = "enhanced";
    if (!check.given.has("model.token_types")) model.token_types = 0;
    if (!check.given.has("model.layer_norm_epsilon")) model.layer_norm_epsilon = 1e-7;
}

void check_decoder(const Check& check) {
    const ModelSettings& model = check.settings.model;
    if (!check.given.usable({"model.mask_decoder", "model.decoder_passes", "model.layers"})) return;
    if (model.has_enhanced_decoder() && model.layers < 2) {
        check.tell({"model.mask_decoder", "model.layers", "model.architecture"},
                   "model.mask_decoder enhanced reads the last layer but one, and model.layers is 1; write plain, or "
                   "more layers");
    }
    if (!model.has_enhanced_decoder() && check.given.has("model.decoder_passes")) {
        check.tell({"model.decoder_passes"},
                   "model.decoder_passes has no effect with model.mask_decoder plain; remove it, or write enhanced");
    }
    const ConvolutionSettings& convolution = model.convolution;
    if (!check.given.usable({"model.convolution.kernel", "model.convolution.activation"})) return;
    if (convolution.kernel > 0 && convolution.kernel % 2 == 0)
        check.tell({"model.convolution.kernel"},
                   fmt::format("model.convolution.kernel {} must be odd", convolution.kernel));
    if (convolution.kernel == 0 && check.given.has("model.convolution.activation"))
        check.tell({"model.convolution.activation"},
                   "model.convolution.activation has no effect without model.convolution.kernel");
}

/// Options that were not given, where their initial value depends on the rest of the model.
void complete_options(const Check& check, std::size_t number) {
    const ModelSettings& model = check.settings.model;
    PositionSettings& position = check.settings.model.position[number];
    if (position.options.empty()) position = default_position(position.encoding);
    const bool from_model = !check.given.has("model.position") && !check.settings.train.init_from.empty();
    const EncodingEntry& entry = *find_encoding(position.encoding);
    if (from_model || entry.defaults == nullptr) return;
    static const std::set<std::string> nothing;
    const auto& all = check.given.encoding_options;
    const std::set<std::string>& given = number < all.size() ? all[number] : nothing;
    for (const auto& [name, value] : entry.defaults(model, position))
        if (given.count(name) == 0) position.options[name] = value;
}

/// Asks each encoding for its promise, which also checks its options.
void check_positions(const Check& check) {
    ModelSettings& model = check.settings.model;
    const std::int64_t length = check.settings.data.sequence_length;
    if (!check.given.has("model.max_length")) model.max_length = std::max(model.max_length, length);
    if (!check.given.usable(
            {"model.position", "model.hidden", "model.heads", "model.max_length", "data.sequence_length"}))
        return;
    if (model.hidden % model.heads != 0) return;
    complete_positions(model);
    for (std::size_t i = 0; i < model.position.size(); ++i) {
        complete_options(check, i);
        const PositionSettings& position = model.position[i];
        const Place place = i < check.given.encodings.size() ? check.given.encodings[i] : check.given.whole;
        try {
            const std::int64_t longest = find_encoding(position.encoding)->make(model, position)->longest_sequence();
            if (longest == 0 || longest >= length) continue;
            check.tell(
                {"data.sequence_length", "model.max_length", "model.position"},
                fmt::format(
                    "data.sequence_length {} is longer than the {} positions that the encoding {} takes "
                    "(model.max_length "
                    "{}): raise model.max_length, shorten the sequences, or choose what happens beyond the table",
                    length, longest, position.encoding, model.max_length));
        } catch (const ModelError& error) {
            check.mistakes.add(place, error.what());
        }
    }
}

void complete_schedule(const Check& check) {
    const TrainSettings& train = check.settings.train;
    ScheduleSettings& schedule = check.settings.train.schedule;
    if (!check.given.usable({"train.steps", "train.schedule.warmup", "train.schedule.decay", "train.schedule.type"}))
        return;
    if (schedule.warmup == -1) schedule.warmup = std::min<std::int64_t>(200, train.steps / 10);
    const bool decays_last = schedule.type == "warmup_stable_decay";
    if (schedule.decay == -1) schedule.decay = decays_last ? train.steps / 5 : 0;
    if (schedule.warmup > train.steps) {
        check.tell({"train.schedule.warmup", "train.steps"},
                   fmt::format("train.schedule.warmup {} is longer than train.steps {}", schedule.warmup, train.steps));
    } else if (decays_last && schedule.warmup + schedule.decay > train.steps) {
        check.tell(
            {"train.schedule.decay", "train.schedule.warmup", "train.steps"},
            fmt::format("train.schedule.warmup {} and train.schedule.decay {} are together longer than train.steps {}",
                        schedule.warmup, schedule.decay, train.steps));
    }
}

void check_training(const Check& check) {
    const TrainSettings& train = check.settings.train;
    if (check.given.usable({"train.early_stop", "train.evaluate_every"}) && train.early_stop > 0 &&
        train.evaluate_every == 0) {
        check.tell({"train.early_stop", "train.evaluate_every"},
                   fmt::format("train.early_stop {} never applies when train.evaluate_every is 0: there is only the "
                               "first and the last "
                               "validation",
                               train.early_stop));
    }
    if (!check.given.usable({"train.batch_size", "train.gradient_accumulation", "data.sequence_length"})) return;
    const double sequences = static_cast<double>(train.batch_size) * static_cast<double>(train.gradient_accumulation);
    const double tokens =
        static_cast<double>(train.batch_size) * static_cast<double>(check.settings.data.sequence_length);
    constexpr double most = std::numeric_limits<std::int32_t>::max();
    if (tokens > most) {
        check.tell({"train.batch_size", "data.sequence_length"},
                   fmt::format("train.batch_size {} times data.sequence_length {} is more tokens than a micro-batch "
                               "can hold (2147483647)",
                               train.batch_size, check.settings.data.sequence_length));
    } else if (sequences > most) {
        check.tell(
            {"train.gradient_accumulation", "train.batch_size"},
            fmt::format(
                "train.batch_size {} times train.gradient_accumulation {} is more sequences than a step can hold",
                train.batch_size, train.gradient_accumulation));
    }
}

}  // namespace

void check_and_complete(Settings& settings, const std::string& stem, const GivenKeys& given, Mistakes& mistakes) {
    const Check check{settings, given, mistakes};
    complete_run(check, stem);
    check_corpus(check);
    check_tokenizer(check);
    check_masking(check);
    check_shape(check);
    complete_architecture(check);
    settings.model.train_length = settings.data.sequence_length;
    check_decoder(check);
    check_positions(check);
    complete_schedule(check);
    check_training(check);
}

}  // namespace locus
