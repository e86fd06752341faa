// locus fill: the likeliest tokens in the place of each [MASK].

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <fmt/core.h>
#include <fmt/format.h>

#include "data/utf8.h"
#include "kernels/memory.h"
#include "train/batch_tensors.h"
#include "train/commands.h"
#include "train/device_name.h"
#include "train/encoded_text.h"
#include "train/error.h"
#include "train/run_settings.h"
#include "train/threads.h"
#include "train/too_long.h"

namespace locus {

namespace {

struct Candidate {
    std::int32_t token;
    double probability;
};

/// The `top` largest of a row of logits, as probabilities; equals in the order of their ids.
std::vector<Candidate> best_candidates(const float* logits, std::int64_t vocabulary, std::int64_t top) {
    const float largest = *std::max_element(logits, logits + vocabulary);
    double sum = 0;
    for (std::int64_t v = 0; v < vocabulary; ++v) sum += std::exp(static_cast<double>(logits[v]) - largest);
    if (!std::isfinite(sum)) throw NotFiniteError("the model's logits are not finite; its weights are broken");
    std::vector<std::int32_t> order(static_cast<std::size_t>(vocabulary));
    std::iota(order.begin(), order.end(), 0);
    const auto kept = order.begin() + std::min(top, vocabulary);
    std::partial_sort(order.begin(), kept, order.end(), [&](std::int32_t a, std::int32_t b) {
        return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    });
    std::vector<Candidate> candidates;
    for (auto token = order.begin(); token != kept; ++token) {
        candidates.push_back({*token, std::exp(static_cast<double>(logits[*token]) - largest) / sum});
    }
    return candidates;
}

/// Candidates for each masked row.
std::vector<std::vector<Candidate>> predict(const MaskedLanguageModel& model, const TokenBatch& batch,
                                            std::int64_t top) {
    BatchTensors tensors;
    tensors.fill(batch, 0);
    Arena arena(model.device());
    Tape tape(arena);
    tape.set_recording(false);
    const Var encoded = model.encode(tape, tensors.input(), RunMode{});
    const Tensor logits = tape.on_host(model.logits(tape, encoded, tensors.input(), tensors.targets().rows).value());
    const std::int64_t vocabulary = logits.shape[1];
    std::vector<std::vector<Candidate>> all;
    for (std::int64_t row = 0; row < logits.shape[0]; ++row) {
        all.push_back(best_candidates(logits.as<float>() + row * vocabulary, vocabulary, top));
    }
    return all;
}

void print_filled(const TokenBatch& batch, const std::vector<std::vector<Candidate>>& all, const Tokenizer& tokenizer,
                  bool cls_sep) {
    std::vector<std::int32_t> ids = batch.ids;
    for (std::size_t mask = 0; mask < all.size(); ++mask) {
        fmt::print("{}[MASK] {} of {}\n", mask > 0 ? "\n" : "", mask + 1, all.size());
        for (const Candidate& candidate : all[mask]) {
            fmt::print("  {:.4f}  {}\n", candidate.probability, tokenizer.token(candidate.token));
        }
        ids[static_cast<std::size_t>(batch.masked_rows[mask])] = all[mask].front().token;
    }
    if (cls_sep) ids = {ids.begin() + 1, ids.end() - 1};
    fmt::print("\n{}\n", tokenizer.decode(ids));
}

}  // namespace

int run_fill(const FillCommand& command) {
    if (first_invalid_utf8(command.text) != command.text.size())
        throw ConfigurationError("the text is not valid UTF-8");
    use_threads(command.threads);
    const LoadedModel loaded = load_model(command.model);
    loaded.model->move_to(device_named(command.device, DType::float32));
    const Tokenizer& tokenizer = tokenizer_of(loaded);
    const bool cls_sep = uses_cls_sep(loaded);
    const TokenBatch batch = encode_text(command.text, tokenizer, cls_sep);
    if (batch.masked() == 0) {
        throw ConfigurationError(fmt::format("the text has no {0}: write {0} where a word is to be found",
                                             tokenizer.token(tokenizer.special().mask)));
    }
    if (is_too_long(*loaded.model, batch.rows())) {
        throw ConfigurationError(explain_too_long(*loaded.model, fmt::format("the text has {} tokens", batch.rows())));
    }
    print_filled(batch, predict(*loaded.model, batch, command.top), tokenizer, cls_sep);
    return exit_done;
}

}  // namespace locus
