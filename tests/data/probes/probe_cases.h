#pragma once
// Every probe in every variant, small enough to count.

#include <string>
#include <vector>

#include "data/probes/probe.h"

namespace locus {

struct ProbeCase {
    std::string name;
    ProbeSettings settings;
    std::int64_t length;
};

inline ProbeSettings probe_with(const char* name, const std::map<std::string, ProbeOptionValue>& options) {
    ProbeSettings settings = default_probe(name);
    for (const auto& [option, value] : options) settings.options.at(option) = value;
    return settings;
}

inline std::vector<ProbeCase> probe_cases() {
    const std::vector<std::int64_t> near{1, -2}, distances{2, 3};
    std::vector<ProbeCase> cases{
        {"ShiftedLookup", probe_with("shifted_lookup", {}), 24},
        {"ShiftedLookupSmall", probe_with("shifted_lookup", {{"shifts", near}, {"symbols", std::int64_t{2}}}), 6},
        {"PhraseShift", probe_with("phrase_shift", {}), 16},
        {"PhraseShiftFirstHalf", probe_with("phrase_shift", {{"fillers", std::string("first_half")}}), 16},
        {"DistanceRetrieval", probe_with("distance_retrieval", {}), 40},
        {"DistanceRetrievalSmall",
         probe_with("distance_retrieval", {{"distances", distances}, {"symbols", std::int64_t{2}}}), 8},
        {"Order", probe_with("order", {}), 16},
        {"OrderQuestions", probe_with("order", {{"questions", std::int64_t{4}}}), 16},
        {"OrderSmall", probe_with("order", {{"fillers", std::int64_t{1}}}), 5},
        {"Agreement", probe_with("agreement", {}), 40},
        {"AgreementSmall", probe_with("agreement", {{"distances", distances}, {"attractors", std::int64_t{2}}}), 9},
        {"AbsoluteIndex", probe_with("absolute_index", {}), 24},
        {"AbsoluteIndexPeriod", probe_with("absolute_index", {{"period", std::int64_t{5}}}), 24},
        {"Sentence", probe_with("identical_contexts", {}), 16},
        {"TwoMasks", probe_with("identical_contexts", {{"variant", std::string("two_masks")}}), 16},
        {"Periodic", probe_with("identical_contexts", {{"variant", std::string("periodic")}}), 32},
    };
    for (ProbeCase& one : cases) one.settings.train_length = one.length;
    return cases;
}

}  // namespace locus
