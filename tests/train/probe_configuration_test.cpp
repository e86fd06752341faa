// data.probe in a configuration: reading, writing, what it excludes.

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "data/probes/probe.h"
#include "train/configuration.h"
#include "train/error.h"
#include "train/plan.h"

namespace locus {
namespace {

Settings read(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
    return parse_configuration(yaml, "test.yaml", overrides);
}

std::string error_of(const std::string& yaml) {
    try {
        read(yaml);
        return "no error";
    } catch (const ConfigurationError& error) {
        return error.what();
    }
}

void expect_error(const std::string& yaml, const std::vector<std::string>& parts) {
    const std::string message = error_of(yaml);
    for (const std::string& part : parts)
        EXPECT_NE(message.find(part), std::string::npos) << "\"" << part << "\" is not in:\n" << message;
}

TEST(ProbeConfiguration, ReadsANameAndOptions) {
    const Settings plain = read("data: {probe: order, sequence_length: 16}\n");
    EXPECT_EQ(plain.data.probe.name, "order");
    EXPECT_EQ(integer_option(plain.data.probe, "fillers"), 8);
    EXPECT_EQ(plain.data.boundary, "none");
    EXPECT_EQ(plain.data.probe.train_length, 16);
    const Settings full = read(
        "data: {probe: {name: shifted_lookup, seed: 7, shifts: [2, -2], symbols: 4}, boundary: cls_sep, "
        "sequence_length: 16}\n");
    EXPECT_EQ(full.data.probe.seed, 7U);
    EXPECT_EQ(list_option(full.data.probe, "shifts"), (std::vector<std::int64_t>{2, -2}));
    EXPECT_EQ(full.data.boundary, "cls_sep");
    EXPECT_EQ(full.data.probe.train_length, 14);
}

TEST(ProbeConfiguration, OverridesReachTheOptions) {
    const std::string yaml = "data: {probe: order, sequence_length: 16}\n";
    EXPECT_EQ(integer_option(read(yaml, {"data.probe.fillers=3"}).data.probe, "fillers"), 3);
    EXPECT_EQ(read(yaml, {"data.probe=absolute_index"}).data.probe.name, "absolute_index");
}

TEST(ProbeConfiguration, WritingAndReadingGivesTheSame) {
    for (const Probe& probe : probe_registry()) {
        const Settings settings =
            read("data: {probe: " + std::string(probe.name) + ", sequence_length: 64, boundary: cls_sep}\n");
        const std::string written = write_configuration(settings);
        const Settings again = read(written);
        EXPECT_EQ(write_configuration(again), written);
        EXPECT_TRUE(again.data.probe.options == settings.data.probe.options) << written;
        EXPECT_EQ(again.data.probe.train_length, 62);
    }
}

TEST(ProbeConfiguration, ExcludesTextAndWhatBelongsToIt) {
    const auto with = [](const std::string& other) { return "data: {probe: order, " + other + "}\n"; };
    expect_error(with("train: [a], valid: [b]"),
                 {"data.train and data.probe are both given", "data.valid and data.probe are both given"});
    expect_error(with("synthetic: {}"), {"data.synthetic and data.probe are both given"});
    expect_error(with("masking: {probability: 0.3}"),
                 {"test.yaml:1:32", "data.masking.probability and data.probe are both given"});
    expect_error(with("tokenizer: {type: bytes}"), {"data.tokenizer.type and data.probe are both given"});
    expect_error(with("field: text"), {"data.field and data.probe are both given"});
}

TEST(ProbeConfiguration, NamesTheNearest) {
    expect_error("data: {probe: ordr}\n", {"test.yaml:1:15", "no probe is called \"ordr\"; did you mean order?"});
    expect_error("data: {probe: {name: order, filler: 3}}\n",
                 {"data.probe.filler", "the probe order has no such option; did you mean fillers?"});
    expect_error("data: {probe: {name: order, shifts: [1]}}\n",
                 {"data.probe.shifts", "known: seed, fillers and questions"});
    expect_error("data: {probe: {fillers: 3}}\n", {"data.probe: needs a name", "known: shifted_lookup"});
}

TEST(ProbeConfiguration, RefusesValuesOfTheWrongKindAndOutOfRange) {
    expect_error("data: {probe: {name: order, fillers: many}}\n", {"data.probe.fillers"});
    expect_error("data: {probe: {name: order, fillers: 30}}\n", {"data.probe.fillers must be at least 1"});
    expect_error("data: {probe: {name: order, seed: -1}}\n", {"data.probe.seed: must be at least 0"});
    expect_error("data: {probe: {name: shifted_lookup, shifts: 3}}\n", {"expects a list of whole numbers"});
    expect_error("data: {probe: {name: phrase_shift, fillers: nowhere}}\n", {"does not know \"nowhere\""});
    expect_error("data: {probe: agreement, sequence_length: 20}\n", {"data.sequence_length: 20", "needs 34"});
    expect_error("data: {sequence_length: 20}\n", {"nor data.probe"});
}

TEST(ProbeConfiguration, TheVocabularyIsKnownBeforehand) {
    const Settings settings = read("data: {probe: {name: order, fillers: 3}, sequence_length: 16}\n");
    EXPECT_EQ(planned_vocabulary(settings).size, 5 + 4 + 3);
    EXPECT_TRUE(planned_vocabulary(settings).is_exact);
    EXPECT_DOUBLE_EQ(planned_masked_share(settings), 1.0 / 16);
}

TEST(ProbeConfiguration, EveryProbeHasAConfiguration) {
    std::set<std::string> named;
    for (const auto& entry : std::filesystem::directory_iterator(std::string(LOCUS_SOURCE_DIR) + "/configs/probes")) {
        const Settings settings = read_configuration(entry.path());
        EXPECT_EQ(settings.run.name, settings.data.probe.name) << entry.path();
        named.insert(settings.data.probe.name);
    }
    EXPECT_EQ(named.size(), probe_registry().size());
}

}  // namespace
}  // namespace locus
