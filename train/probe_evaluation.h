#pragma once
// How well a model solves a probe, by length and by condition, beside what is possible without positions (floor) and at all (ceiling).
//
// The examples are those of the probe's test split: the same for every model, seen in no training. The interval of the accuracy is the exact
// binomial one (binomial_interval.h). It takes targets as independent: true of one target per sequence; where a sequence has several, it is
// somewhat too narrow, and where a length has one example only (absolute_index), it speaks of the rows of that example.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/settings.h"
#include "model/masked_language_model.h"

namespace locus {

struct ProbeResult {
    std::string condition;  // "all", or what the probe tells its targets apart by: "shift=+3", "unseen offset"
    std::int64_t length = 0, targets = 0;
    double loss = 0, accuracy = 0;  // nats per target
    double accuracy_ci_low = 0, accuracy_ci_high = 0;
    double floor_loss = 0, floor_accuracy = 0;  // of the same targets
    double ceiling_accuracy = 0;                // of the oracle
};

using ProbeProgress = std::function<void(std::int64_t length, std::int64_t done, std::int64_t total)>;

/// One row "all" per length, followed by one per condition where there are several. `data.probe` is the probe; `lengths` count [CLS] and [SEP]
/// where data.boundary asks for them. Throws DataError as check_probe(), ModelError for a length that the model does not take.
std::vector<ProbeResult> evaluate_probe(const MaskedLanguageModel& model, const DataSettings& data,
                                        const std::vector<std::int64_t>& lengths, std::int64_t examples,
                                        const ProbeProgress& progress = {});

/// "probe,variant,boundary,encoding,condition,train_length,length,loss,accuracy,targets,accuracy_ci_low,accuracy_ci_high,floor_loss,
/// floor_accuracy,ceiling_accuracy" and a line per row. `variant`: the probe's options that are texts.
std::string probe_csv(const ModelSettings& model, const DataSettings& data, const std::vector<ProbeResult>& results);

/// What run_probe_evaluation() is asked for.
struct ProbeEvaluation {
    std::string model;                  // a run or checkpoint that was trained on a probe
    std::vector<std::int64_t> lengths;  // empty: 1, 2 and 4 times the trained length, as far as the model goes
    std::int64_t examples = 1000;       // per length
    std::string csv;                    // empty: none
    std::int64_t threads = 0;
};

/// Evaluates a model on the probe it was trained on, prints a table, writes the CSV. Returns an exit code. Throws ConfigurationError when the
/// model was not trained on a probe, or a length is not possible.
int run_probe_evaluation(const ProbeEvaluation& asked);

}  // namespace locus
