#include "train/comparison/comparison.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "train/error.h"

namespace locus {
namespace {

const std::string two_blocks =
    "compare: {name: pair, seeds: [3, 5]}\n"
    "base:\n"
    "  model: {layers: 2, hidden: 16, heads: 2, feed_forward: 32, max_length: 16}\n"
    "  train: {steps: 40, batch_size: 4, schedule: {warmup: 4}}\n"
    "runs:\n"
    "  absolute: {model: {position: {encoding: absolute, beyond: clip}}}\n"
    "  rope: {model: {position: rope}, train: {optimizer: {learning_rate: 5e-4}}}\n"
    "blocks:\n"
    "  text:\n"
    "    base: {data: {synthetic: {megabytes: 1}, sequence_length: 16}, train: {batch_size: 8}}\n"
    "    evaluate: {lengths: [16, 32], beyond: [clip]}\n"
    "    seeds: [1]\n"
    "  order:\n"
    "    base: {data: {probe: {name: order, fillers: 6, questions: 1}, sequence_length: 12}}\n"
    "    runs: {t5: {model: {position: t5_bias}}}\n"
    "    minimum_steps: 7\n";

std::string message_of(const std::string& yaml) {
    try {
        parse_comparison(yaml, "pair.yaml");
    } catch (const ConfigurationError& error) {
        return error.what();
    }
    return "no error";
}

/// `two_blocks` with a piece of it replaced.
std::string with(const std::string& old, const std::string& now) {
    std::string yaml = two_blocks;
    const std::size_t found = yaml.find(old);
    EXPECT_NE(found, std::string::npos) << old;
    return yaml.replace(found, old.size(), now);
}

void expect_message(const std::string& yaml, const std::string& place, const std::string& part) {
    const std::string message = message_of(yaml);
    EXPECT_EQ(message.rfind(place, 0), 0U) << message;
    EXPECT_NE(message.find(part), std::string::npos) << part << "\nin\n" << message;
}

TEST(Comparison, BlocksLayTheirBaseOverTheCommonOneAndRunsOverThat) {
    const Comparison comparison = parse_comparison(two_blocks, "pair.yaml");
    EXPECT_EQ(comparison.folder(), std::filesystem::path("runs/pair"));
    ASSERT_EQ(comparison.blocks.size(), 2U);
    const ComparisonBlock &text = comparison.blocks[0], &order = comparison.blocks[1];
    ASSERT_EQ(text.models.size(), 2U);
    EXPECT_EQ(text.models[0].name, "absolute");
    EXPECT_EQ(text.models[1].settings.model.position.front().encoding, "rope");
    EXPECT_EQ(text.models[1].settings.train.optimizer.learning_rate, 5e-4);
    EXPECT_EQ(text.models[0].settings.train.optimizer.learning_rate, OptimizerSettings().learning_rate);
    for (const ComparedModel& model : text.models) {
        EXPECT_EQ(model.settings.model.hidden, 16);
        EXPECT_EQ(model.settings.train.batch_size, 8);
        EXPECT_EQ(model.settings.train.schedule.warmup, 4);
    }
    EXPECT_EQ(text.tokens_per_step(), 8 * 16);
    EXPECT_EQ(order.shared().train.batch_size, 4);
    EXPECT_FALSE(text.is_probe());
    EXPECT_TRUE(order.is_probe());
}

TEST(Comparison, ABlocksOwnPartsReplaceTheCommonOnes) {
    const Comparison comparison = parse_comparison(two_blocks, "pair.yaml");
    const ComparisonBlock &text = comparison.blocks[0], &order = comparison.blocks[1];
    EXPECT_EQ(text.seeds, std::vector<std::int64_t>{1});
    EXPECT_EQ(order.seeds, (std::vector<std::int64_t>{3, 5}));
    EXPECT_EQ(text.minimum_steps, 40);  // never more than the configured steps
    EXPECT_EQ(order.minimum_steps, 7);
    ASSERT_EQ(order.models.size(), 1U);
    EXPECT_EQ(order.models[0].name, "t5");
    EXPECT_EQ(text.evaluate.lengths, (std::vector<std::int64_t>{16, 32}));
    EXPECT_TRUE(order.evaluate.lengths.empty());
}

TEST(Comparison, AnEncodingAndAProbeAreReplacedWhole) {
    const std::string yaml =
        "base: {data: {probe: {name: order, fillers: 6}, sequence_length: 12}, "
        "model: {position: {encoding: absolute, beyond: clip}}}\n"
        "runs: {rope: {model: {position: {encoding: rope}}}}\n";
    const Comparison comparison = parse_comparison(yaml, "one.yaml");
    ASSERT_EQ(comparison.blocks.size(), 1U);
    EXPECT_EQ(comparison.name, "one");
    EXPECT_EQ(comparison.blocks[0].name, "all");
    EXPECT_EQ(comparison.blocks[0].shared().model.position.front().options.count("beyond"), 0U);
}

TEST(Comparison, OverridesReplaceKeysOfTheFile) {
    const Comparison comparison = parse_comparison(
        two_blocks, "pair.yaml", {"compare.name=other", "blocks.order.seeds=[9]", "base.train.steps=20"});
    EXPECT_EQ(comparison.name, "other");
    EXPECT_EQ(comparison.blocks[1].seeds, std::vector<std::int64_t>{9});
    EXPECT_EQ(comparison.blocks[0].shared().train.steps, 20);
}

TEST(Comparison, UnknownKeysNameTheNearestOne) {
    expect_message(with("compare: {name", "compare: {nam"), "pair.yaml:1:11",
                   "compare.nam: there is no such key here; did you mean name?");
    expect_message(with("blocks:", "block:"), "pair.yaml:8:1", "did you mean blocks?");
    expect_message(with("    seeds: [1]", "    seed: [1]"), "pair.yaml:12:5",
                   "blocks.text.seed: there is no such key here; did you mean seeds?");
    expect_message(with("beyond: [clip]", "beyont: [clip]"), "pair.yaml:11:35", "did you mean beyond?");
    expect_message(with("hidden: 16", "hiden: 16"), "pair.yaml:3:22", "model.hiden");
}

TEST(Comparison, AMistakeInABaseIsToldOnce) {
    const std::string message = message_of(with("hidden: 16", "hiden: 16"));
    EXPECT_EQ(message.find("model.hiden"), message.rfind("model.hiden")) << message;
}

TEST(Comparison, WhatWouldMakeTheRunsUnfairIsRefused) {
    expect_message(with("rope: {model: {position: rope}, ", "rope: {data: {sequence_length: 8}, "), "pair.yaml:7:10",
                   "runs.rope.data: what is compared shares everything but");
    expect_message(with("train: {optimizer: {learning_rate: 5e-4}}", "train: {steps: 80}"), "pair.yaml:7:43",
                   "runs.rope.train.steps");
    expect_message(with("train: {steps: 40,", "train: {steps: 40, early_stop: 2,"), "pair.yaml:4:22",
                   "base.train.early_stop");
    expect_message(with("train: {steps: 40,", "train: {steps: 40, max_minutes: 2,"), "pair.yaml:4:22", "--budget");
    expect_message(with("base:\n", "base:\n  run: {seed: 4}\n"), "pair.yaml:3:9", "compare.seeds lists the seeds");
}

TEST(Comparison, ValuesThatCannotBeAreRefused) {
    expect_message(with("seeds: [3, 5]", "seeds: [3, 3]"), "pair.yaml:1:30", "compare.seeds: 3 is given twice");
    expect_message(with("seeds: [3, 5]", "seeds: [-1]"), "pair.yaml:1:30", "must be at least 0, not -1");
    expect_message(with("seeds: [3, 5]", "seeds: []"), "pair.yaml:1:30", "compare.seeds: the list is empty");
    expect_message(with("name: pair", "name: a/b"), "pair.yaml:1", "cannot name a folder");
    expect_message(with("seeds: [3, 5]", "jobs: -2"), "pair.yaml:1:29", "compare.jobs: must be at least 0");
    expect_message(with("minimum_steps: 7", "minimum_steps: few"), "pair.yaml:16:20", "blocks.order.minimum_steps");
}

TEST(Comparison, LengthsThatAModelDoesNotTakeAreRefusedBeforeTraining) {
    expect_message(with("lengths: [16, 32]", "lengths: [12, 32]"), "pair.yaml:11:15",
                   "12 does not divide the longest, 32");
    expect_message(with("lengths: [16, 32], beyond: [clip]", "samples: 3"), "pair.yaml:11:15",
                   "text.evaluate: needs lengths");
    expect_message(with("beyond: [clip]", "beyond: [clop]"), "pair.yaml:11:15",
                   "no run of the block has a table that knows clop");
    const std::string probe =
        "base: {data: {probe: {name: order, fillers: 6}, sequence_length: 12}, model: {max_length: 12}}\n"
        "runs: {absolute: {model: {position: {encoding: absolute}}}}\n"
        "evaluate: {lengths: [24]}\n";
    expect_message(probe, "pair.yaml:3:11", "absolute takes 12 tokens at most");
}

TEST(Comparison, NothingToCompareIsAnError) {
    expect_message("", "pair.yaml:1:1", "at least base and runs");
    expect_message("base: {data: {probe: order}}\n", "pair.yaml:1:1", "runs: expects what is compared");
    expect_message(with("    runs: {t5: {model: {position: t5_bias}}}\n", "    runs: {}\n"), "pair.yaml:15:11",
                   "runs: expects what is compared");
}

TEST(Comparison, ARunCanStartFromOneOfAnEarlierBlockWithTheSameSeeds) {
    const std::string from_rope = "runs: {t5: {init_from: text/rope, model: {position: t5_bias}}}";
    const std::string same_seed = with("runs: {t5: {model: {position: t5_bias}}}", "seeds: [1]\n    " + from_rope);
    const Comparison comparison = parse_comparison(same_seed, "pair.yaml");
    EXPECT_EQ(comparison.blocks[1].models[0].init_from, "text/rope");
    EXPECT_TRUE(comparison.blocks[0].models[0].init_from.empty());
    expect_message(with("runs: {t5: {model: {position: t5_bias}}}", from_rope), "pair.yaml:15:28",
                   "\"text/rope\" is not block/run of an earlier block with the seeds of this one");
    expect_message(with("rope: {model", "rope: {init_from: text/absolute, model"), "pair.yaml:7:21",
                   "is not block/run of an earlier block");
}

TEST(Comparison, ABlockCanTakeTheRunsOfAnEarlierOne) {
    const Comparison comparison = parse_comparison(
        two_blocks + "  again:\n    base: {data: {probe: order, sequence_length: 12}}\n    runs: order\n", "pair.yaml");
    ASSERT_EQ(comparison.blocks.size(), 3U);
    ASSERT_EQ(comparison.blocks[2].models.size(), 1U);
    EXPECT_EQ(comparison.blocks[2].models[0].name, "t5");
    expect_message(with("runs: {t5: {model: {position: t5_bias}}}", "runs: ordr"), "pair.yaml:15:11",
                   "there is no earlier block \"ordr\"");
}

TEST(Comparison, TheOtherComparisonsAreReadable) {
    for (const char* name : {"notes", "pilot", "gpu", "learning_rate"}) {
        const std::filesystem::path file = std::filesystem::path(LOCUS_SOURCE_DIR) / "configs/compare" / name;
        EXPECT_FALSE(read_comparison(file.string() + ".yaml").blocks.empty()) << name;
    }
}

TEST(Comparison, TheQuickComparisonIsReadable) {
    const Comparison quick = read_comparison(std::filesystem::path(LOCUS_SOURCE_DIR) / "configs/compare/quick.yaml");
    std::set<std::string> blocks;
    for (const ComparisonBlock& block : quick.blocks) {
        blocks.insert(block.name);
        EXPECT_EQ(block.seeds.size(), 2U);
        EXPECT_EQ(block.models.size(), block.is_probe() ? 9U : 5U);
    }
    EXPECT_EQ(blocks, (std::set<std::string>{"absolute_index", "order", "phrase_shift", "text"}));
}

}  // namespace
}  // namespace locus
