#include "data/probes/probe_batches.h"

#include <algorithm>

namespace locus {

ProbeBatches::ProbeBatches(const DataSettings& settings, std::int64_t samples)
    : probe_(settings.probe),
      length_(probe_length(settings)),
      cls_sep_(settings.boundary == "cls_sep"),
      samples_(distinct_examples(settings.probe, samples)) {
    check_probe(probe_, length_);
    if (samples == 0) samples_ = 0;
}

void ProbeBatches::training(std::int64_t first, std::int64_t size, TokenBatch& batch) const {
    fill(ProbeSplit::train, first, first + size, batch);
}

void ProbeBatches::validation(std::int64_t first, std::int64_t size, TokenBatch& batch) const {
    fill(ProbeSplit::validation, first, std::min(first + size, samples_), batch);
}

void ProbeBatches::fill(ProbeSplit split, std::int64_t first, std::int64_t end, TokenBatch& batch) const {
    batch.clear();
    ProbeExample example;
    for (std::int64_t index = first; index < end; ++index) {
        make_probe_example(probe_, length_, split, index, example);
        append_example(example, cls_sep_, batch);
    }
}

std::int64_t probe_length(const DataSettings& settings) {
    return settings.sequence_length - (settings.boundary == "cls_sep" ? 2 : 0);
}

void append_example(const ProbeExample& example, bool cls_sep, TokenBatch& batch) {
    const SpecialTokens special;
    if (cls_sep) batch.ids.push_back(special.cls);
    const auto first_row = static_cast<std::int32_t>(batch.ids.size());
    batch.ids.insert(batch.ids.end(), example.ids.begin(), example.ids.end());
    if (cls_sep) batch.ids.push_back(special.sep);
    batch.offsets.push_back(static_cast<std::int32_t>(batch.ids.size()));
    for (const std::int32_t row : example.rows) batch.masked_rows.push_back(first_row + row);
    batch.targets.insert(batch.targets.end(), example.targets.begin(), example.targets.end());
}

double probe_masked_share(const DataSettings& settings) {
    constexpr std::int64_t few = 32;
    TokenBatch batch;
    ProbeBatches(settings, 0).training(0, few, batch);
    return static_cast<double>(batch.masked()) / static_cast<double>(batch.rows());
}

}  // namespace locus
