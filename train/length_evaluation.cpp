#include "train/length_evaluation.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "model/position/position_encoding.h"
#include "train/beyond.h"
#include "train/error.h"
#include "train/too_long.h"

namespace locus {

namespace {

std::int64_t longest_of(const LengthProtocol& protocol) {
    return *std::max_element(protocol.lengths.begin(), protocol.lengths.end());
}

/// L.
std::int64_t reference_length(const LengthProtocol& protocol) {
    if (protocol.train_length > 0) return protocol.train_length;
    return *std::min_element(protocol.lengths.begin(), protocol.lengths.end());
}

// ---- what may be asked -----------------------------------------------------------------------------------------------------------------

void check_lengths(const LengthProtocol& protocol) {
    constexpr std::int64_t shortest = 8;
    if (protocol.lengths.empty()) throw ConfigurationError("--lengths is empty; name the lengths to evaluate at");
    const std::int64_t longest = longest_of(protocol);
    for (auto length = protocol.lengths.begin(); length != protocol.lengths.end(); ++length) {
        if (*length < shortest)
            throw ConfigurationError(fmt::format("--lengths: {} is below {} tokens", *length, shortest));
        if (std::find(protocol.lengths.begin(), length, *length) != length)
            throw ConfigurationError(fmt::format("--lengths names {} twice", *length));
        if (protocol.boundary == "none" && longest % *length != 0)
            throw ConfigurationError(
                fmt::format("--lengths: {} does not divide the longest length, {}; without [CLS] and [SEP] the text of "
                            "{} tokens is cut into equal chunks",
                            *length, longest, longest));
    }
}

void check_protocol(const MaskedLanguageModel& model, const LengthProtocol& protocol) {
    check_lengths(protocol);
    if (protocol.boundary != "none" && protocol.boundary != "cls_sep")
        throw ConfigurationError(fmt::format("--boundary {} is not known; choose none or cls_sep", protocol.boundary));
    for (const std::string& scheme : protocol.schemes)
        if (scheme != "chunked" && scheme != "centred")
            throw ConfigurationError(fmt::format("--schemes {} is not known; there are chunked and centred", scheme));
    if (!(protocol.mask_probability > 0 && protocol.mask_probability <= 1))
        throw ConfigurationError(
            fmt::format("--mask-probability {} is not above 0 and at most 1", protocol.mask_probability));
    if (protocol.window < 0 || protocol.shift < 0 || protocol.samples < 0)
        throw ConfigurationError("--window, --shift and --samples must not be negative");
    if (!protocol.logn) return;
    if (protocol.train_length == 0)
        throw ConfigurationError(
            "--logn compares lengths with that of training, which is not known for this model: neither its config.json "
            "nor a config.yaml of its run tells");
    if (model.settings().attention.logn) throw ConfigurationError("--logn: the model has model.attention.logn already");
}

/// The policies to evaluate; one empty text for the model as it is. `needed`: positions that must be reached.
std::vector<std::string> policies_of(const MaskedLanguageModel& model, const LengthProtocol& protocol,
                                     std::int64_t needed) {
    const std::vector<std::string> known = beyond_policies(model.settings());
    for (const std::string& policy : protocol.beyond)
        if (std::find(known.begin(), known.end(), policy) == known.end())
            throw ConfigurationError(
                known.empty() ? fmt::format("--beyond {}: no encoding of this model has a table that ends", policy)
                              : fmt::format("--beyond {} is not known to this model's encodings; there are: {}", policy,
                                            fmt::join(known, ", ")));
    if (!protocol.beyond.empty()) return protocol.beyond;
    if (!reaches_beyond(model.settings(), needed)) return {""};
    std::vector<std::string> policies;
    for (const std::string& policy : known) {
        const std::int64_t limit = longest_sequence(with_beyond(model.settings(), policy));
        if (limit == 0 || needed <= limit) policies.push_back(policy);
    }
    return policies.empty() ? std::vector<std::string>{""} : policies;
}

// ---- one policy ------------------------------------------------------------------------------------------------------------------------

/// The model, or the model under a control.
struct Variant {
    std::string suffix;  // of the scheme's name
    const MaskedLanguageModel* model;
    std::int64_t shift;
};

/// The models of one policy and its controls.
class Variants {
public:
    Variants(const MaskedLanguageModel& model, const LengthProtocol& protocol, const std::string& policy) {
        const MaskedLanguageModel* const plain =
            policy.empty() ? &model : keep(copy_with(model, with_beyond(model.settings(), policy)));
        check_length(*plain, protocol);
        list_.push_back({"", plain, 0});
        if (protocol.window > 0) {
            ModelSettings settings = plain->settings();
            settings.attention.window = protocol.window;
            list_.push_back({fmt::format("+window{}", protocol.window), keep(copy_with(*plain, settings)), 0});
        }
        if (protocol.logn) {
            ModelSettings settings = plain->settings();
            settings.attention.logn = true;
            settings.train_length = protocol.train_length;
            list_.push_back({"+logn", keep(copy_with(*plain, settings)), 0});
        }
        if (protocol.shift > 0) list_.push_back({fmt::format("+shift{}", protocol.shift), plain, protocol.shift});
    }

    const std::vector<Variant>& list() const { return list_; }

private:
    static void check_length(const MaskedLanguageModel& model, const LengthProtocol& protocol) {
        const std::int64_t longest = longest_of(protocol);
        if (is_too_long(model, longest))
            throw ConfigurationError(explain_too_long(model, fmt::format("--lengths {}", longest)));
        if (is_too_long(model, longest + protocol.shift))
            throw ConfigurationError(
                explain_too_long(model, fmt::format("--shift {} with --lengths {}", protocol.shift, longest)));
    }

    const MaskedLanguageModel* keep(std::unique_ptr<MaskedLanguageModel> model) {
        kept_.push_back(std::move(model));
        return kept_.back().get();
    }

    std::vector<std::unique_ptr<MaskedLanguageModel>> kept_;
    std::vector<Variant> list_;
};

/// One scheme under one policy: the chunks of every length, and what was measured so far.
struct SchemeSums {
    std::string scheme;
    std::vector<std::vector<Chunk>> chunks;             // by length, in the order of the protocol
    std::vector<std::vector<PositionBuckets>> buckets;  // by variant and length
};

SchemeSums start_scheme(const PairedWindows& windows, const LengthProtocol& protocol, const std::string& scheme,
                        const std::vector<Variant>& variants) {
    SchemeSums sums{scheme, {}, {}};
    const std::int64_t window = windows.window_tokens(), reference = reference_length(protocol);
    std::vector<std::vector<Chunk>> longer;
    for (const std::int64_t length : protocol.lengths) {
        sums.chunks.push_back(cut_window(window, windows.capacity(length), scheme));
        if (length > reference) longer.push_back(sums.chunks.back());
    }
    const std::vector<bool> interior = interior_places(window, reference, longer);
    for (const Variant& variant : variants) {
        std::vector<PositionBuckets>& by_length = sums.buckets.emplace_back();
        for (std::size_t n = 0; n < protocol.lengths.size(); ++n)
            by_length.emplace_back(PositionBuckets::Layout{.length = protocol.lengths[n],
                                                           .train_length = reference,
                                                           .longest = longest_of(protocol),
                                                           .first_index = variant.shift + windows.specials_before(),
                                                           .chunks = sums.chunks[n],
                                                           .interior = interior});
    }
    return sums;
}

/// A few windows, and how often each is drawn by the bootstrap.
struct WindowGroup {
    std::int64_t first = 0;
    std::vector<MaskedSample> samples;
    std::vector<std::vector<double>> counts;
};

/// A few windows of a scheme through all variants and lengths, L of the plain model first: the others are compared with it.
void add_group(const WindowGroup& windows, const LengthProtocol& protocol, const std::vector<Variant>& variants,
               ChunkLosses& losses, const TokensDone& done, const LossObserver& observer, SchemeSums& sums) {
    const std::vector<MaskedSample>& group = windows.samples;
    const std::string beyond = beyond_of(variants[0].model->settings());
    const auto found = std::find(protocol.lengths.begin(), protocol.lengths.end(), reference_length(protocol));
    const auto reference_at = static_cast<std::size_t>(found - protocol.lengths.begin());
    std::vector<TargetLosses> reference(group.size());
    if (found != protocol.lengths.end())
        reference = losses.compute(*variants[0].model, group, sums.chunks[reference_at], 0, done);
    for (std::size_t v = 0; v < variants.size(); ++v) {
        for (std::size_t n = 0; n < protocol.lengths.size(); ++n) {
            const bool is_reference = v == 0 && n == reference_at;
            const std::vector<TargetLosses> found_losses =
                is_reference ? reference
                             : losses.compute(*variants[v].model, group, sums.chunks[n], variants[v].shift, done);
            for (std::size_t w = 0; w < group.size(); ++w) {
                sums.buckets[v][n].add(group[w], found_losses[w], reference[w], windows.counts[w]);
                if (observer)
                    observer({beyond, sums.scheme + variants[v].suffix, protocol.lengths[n],
                              windows.first + static_cast<std::int64_t>(w), group[w], found_losses[w]});
            }
        }
    }
}

std::vector<LengthRow> rows_of(const SchemeSums& sums, const LengthProtocol& protocol,
                               const std::vector<Variant>& variants, const std::string& beyond) {
    std::vector<LengthRow> rows;
    for (std::size_t v = 0; v < variants.size(); ++v) {
        for (std::size_t n = 0; n < protocol.lengths.size(); ++n) {
            for (const BucketSums& bucket : sums.buckets[v][n].filled()) {
                LengthRow& row = rows.emplace_back();
                row.beyond = beyond;
                row.length = protocol.lengths[n];
                row.scheme = sums.scheme + variants[v].suffix;
                row.bucket = bucket.bucket;
                row.loss = bucket.loss.value();
                row.masked_accuracy = static_cast<double>(bucket.correct) / static_cast<double>(bucket.masked);
                row.masked = bucket.masked;
                row.loss_interval = bucket.loss.interval();
                if (!bucket.delta.is_empty()) row.delta = bucket.delta.value();
                row.delta_interval = bucket.delta.interval();
            }
        }
    }
    return rows;
}

std::vector<LengthRow> evaluate_policy(const PairedWindows& windows, const LengthProtocol& protocol,
                                       const std::vector<Variant>& variants, const TokensDone& done,
                                       const LossObserver& observer) {
    std::vector<SchemeSums> schemes;
    for (const std::string& scheme : protocol.schemes)
        schemes.push_back(start_scheme(windows, protocol, scheme, variants));
    ChunkLosses losses(windows, variants.front().model->device());
    const std::int64_t at_once = std::max<std::int64_t>(1, ChunkLosses::tokens_at_once / longest_of(protocol));
    WindowGroup group;
    for (group.first = 0; group.first < windows.count(); group.first += at_once) {
        const auto size = static_cast<std::size_t>(std::min(at_once, windows.count() - group.first));
        group.samples.resize(size);
        group.counts.resize(size);
        for (std::size_t w = 0; w < size; ++w) {
            const std::int64_t index = group.first + static_cast<std::int64_t>(w);
            windows.read(index, group.samples[w]);
            draw_counts(protocol.seed, static_cast<std::uint32_t>(index), group.counts[w]);
        }
        for (SchemeSums& scheme : schemes) add_group(group, protocol, variants, losses, done, observer, scheme);
    }
    std::vector<LengthRow> rows;
    const std::string beyond = beyond_of(variants[0].model->settings());
    for (const SchemeSums& scheme : schemes) {
        const std::vector<LengthRow> more = rows_of(scheme, protocol, variants, beyond);
        rows.insert(rows.end(), more.begin(), more.end());
    }
    return rows;
}

/// Tokens that a policy runs, at most: chunks without a target are passed over.
std::int64_t tokens_of(const PairedWindows& windows, const LengthProtocol& protocol) {
    const std::int64_t variants =
        1 + (protocol.window > 0 ? 1 : 0) + (protocol.logn ? 1 : 0) + (protocol.shift > 0 ? 1 : 0);
    std::int64_t tokens = 0;
    for (const std::string& scheme : protocol.schemes)
        for (const std::int64_t length : protocol.lengths)
            tokens += length * static_cast<std::int64_t>(
                                   cut_window(windows.window_tokens(), windows.capacity(length), scheme).size());
    return tokens * variants * windows.count();
}

}  // namespace

std::vector<LengthRow> evaluate_lengths(const MaskedLanguageModel& model, const TokenShards& shards,
                                        const Tokenizer& tokenizer, const LengthProtocol& protocol,
                                        const LengthProgress& progress, const LossObserver& observer) {
    check_protocol(model, protocol);
    const std::int64_t longest = longest_of(protocol);
    const std::vector<std::string> policies = policies_of(model, protocol, longest + protocol.shift);
    for (const std::string& policy : policies) Variants(model, protocol, policy);  // refuses before the work begins
    const PairedWindows windows(shards, tokenizer, longest, protocol.boundary, protocol.mask_probability, protocol.seed,
                                protocol.samples);
    const std::int64_t total = tokens_of(windows, protocol) * static_cast<std::int64_t>(policies.size());
    std::int64_t run = 0;
    const TokensDone done = [&](std::int64_t tokens) {
        run += tokens;
        if (progress) progress(run, total);
    };
    std::vector<LengthRow> rows;
    for (const std::string& policy : policies) {
        const Variants variants(model, protocol, policy);
        const std::vector<LengthRow> more = evaluate_policy(windows, protocol, variants.list(), done, observer);
        rows.insert(rows.end(), more.begin(), more.end());
    }
    return rows;
}

namespace {

std::string cell(const std::optional<double>& value) { return value ? fmt::format("{}", *value) : std::string(); }

std::string cells(const std::optional<Interval>& interval) {
    return interval ? fmt::format("{},{}", interval->low, interval->high) : ",";
}

}  // namespace

std::string json_of(const WindowLosses& window) {
    nlohmann::json losses = nlohmann::json::array();
    for (const double loss : window.losses.loss)
        losses.push_back(std::isnan(loss) ? nlohmann::json() : nlohmann::json(loss));
    const nlohmann::ordered_json line = {{"window", window.window},          {"beyond", window.beyond},
                                         {"scheme", window.scheme},          {"length", window.length},
                                         {"ids", window.sample.ids},         {"positions", window.sample.positions},
                                         {"targets", window.sample.targets}, {"losses", losses}};
    return line.dump();
}

std::string length_csv(const ModelSettings& model, std::int64_t train_length, const std::vector<LengthRow>& rows) {
    std::string csv =
        "encoding,beyond,train_length,length,scheme,bucket,bucket_begin,bucket_end,loss,masked_accuracy,masked_tokens,"
        "loss_ci_low,loss_ci_high,delta,delta_ci_low,delta_ci_high\n";
    const std::string trained = train_length > 0 ? std::to_string(train_length) : std::string();
    for (const LengthRow& row : rows) {
        csv += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", encoding_names(model), row.beyond, trained,
                           row.length, row.scheme, row.bucket.name, row.bucket.begin, row.bucket.end, row.loss,
                           row.masked_accuracy, row.masked, cells(row.loss_interval), cell(row.delta),
                           cells(row.delta_interval));
    }
    return csv;
}

}  // namespace locus
