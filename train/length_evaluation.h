#pragma once
// Masked-LM loss against sequence length, paired: the same masked targets in the same corrupted text at every length (data/paired_windows.h), so that
// the difference delta(n) = loss(n) - loss(L) is taken target by target, with an interval of its own (bootstrap.h: windows are drawn, not
// targets). L is the training length, or where it is not known the shortest of the lengths; delta is empty when L is not evaluated.
//
// Rows of the CSV: one for each (beyond, length, scheme, bucket); position_buckets.h says what the buckets are.
//
//   beyond    what stands past the end of a position table; every policy has a set of rows when a length needs one. Empty: no such table
//   scheme    chunked or centred; and for each control, which runs beside the plain model on the same targets, "chunked+CONTROL":
//      window32     attention sees 32 tokens to either side: neither unseen distances nor dilution, but no far context either
//      logn         scores times log n / log L: against dilution
//      shift128     every chunk begins at position 128: unseen positions and nothing else, for encodings that know the absolute position
//             the delta of a control is against the plain model at L
//      validation   not of this protocol: what training reports, from `locus evaluate` without --lengths
//   cells that are not defined are empty: a delta without L, an interval of fewer than two windows
//
// docs/extrapolation.md tells how to read the figures.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/token_shards.h"
#include "data/tokenizer.h"
#include "model/masked_language_model.h"
#include "train/bootstrap.h"
#include "train/chunk_losses.h"
#include "train/position_buckets.h"

namespace locus {

struct LengthProtocol {
    std::vector<std::int64_t> lengths;  // tokens of a chunk, special ones counted; the longest is the window
    std::vector<std::string> schemes = {"chunked", "centred"};
    std::string boundary = "cls_sep";  // none | cls_sep; as the model was trained
    double mask_probability = 0.15;
    std::vector<std::string> beyond;  // policies; empty: all but error where a length needs one, else the model's own
    std::int64_t train_length = 0;    // 0: not known
    std::int64_t samples = 0;         // windows, spread evenly through the text; 0: all
    std::uint32_t seed = 0;           // of masks and intervals
    // Controls, each by itself beside the plain model.
    std::int64_t window = 0;  // radius; 0: no such control
    bool logn = false;
    std::int64_t shift = 0;  // first position; 0: no such control
};

struct LengthRow {
    std::string beyond;
    std::int64_t length = 0;
    std::string scheme;
    Bucket bucket;
    double loss = 0;             // nats per masked token
    double masked_accuracy = 0;  // share of the masked tokens
    std::int64_t masked = 0;
    std::optional<Interval> loss_interval;
    std::optional<double> delta;
    std::optional<Interval> delta_interval;
};

/// Tokens run and in all, for a progress line.
using LengthProgress = std::function<void(std::int64_t done, std::int64_t total)>;

/// The losses of one window's targets at one length, before they are summed.
struct WindowLosses {
    std::string beyond, scheme;  // as in LengthRow
    std::int64_t length = 0, window = 0;
    const MaskedSample& sample;  // corrupted ids, places and ids of the targets
    const TargetLosses& losses;
};
using LossObserver = std::function<void(const WindowLosses&)>;

/// Reads the text as often as there are policies, in memory that does not grow with it. Throws ConfigurationError for settings that do not fit together
/// or lengths that the model does not take, DataError for a text shorter than a window, NotFiniteError.
std::vector<LengthRow> evaluate_lengths(const MaskedLanguageModel& model, const TokenShards& shards,
                                        const Tokenizer& tokenizer, const LengthProtocol& protocol,
                                        const LengthProgress& progress = {}, const LossObserver& observer = {});

/// A line of --targets: {"window": 0, "beyond": "", "scheme": "chunked", "length": 32, "ids": [...], "positions": [...], "targets": [...],
/// "losses": [...]}; null where no chunk of the scheme scores the target.
std::string json_of(const WindowLosses& window);

/// length_extrapolation.csv. `train_length` 0: not known, an empty cell.
std::string length_csv(const ModelSettings& model, std::int64_t train_length, const std::vector<LengthRow>& rows);

}  // namespace locus
