// locus explain, as a user runs it.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/device.h"
#include "tests/gpus.h"
#include "tests/train/run_program.h"
#include "tests/train/temporary_folder.h"

namespace locus {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A small Chinese corpus in whose model every character is a token.
class CommandExplain : public ::testing::Test {
protected:
    static ProgramResult run(const std::vector<std::string>& arguments) {
        RunOptions options;
        options.folder = folder().path();
        options.environment = {
            {"LOCUS_CACHE", (folder() / "cache").string()}, {"OMP_NUM_THREADS", "1"}, {"TERM", "dumb"}};
        return run_program(arguments, options);
    }
    static void expect_error(const std::vector<std::string>& arguments, int code, const std::string& part) {
        const ProgramResult result = run(arguments);
        EXPECT_EQ(result.code, code) << result.err;
        EXPECT_TRUE(contains(result.err, part)) << part << "\nin\n" << result.err;
        EXPECT_EQ(result.out, "");
    }
    static void SetUpTestSuite() {
        write_text(folder() / "model.yaml",
                   "run: {name: zh}\n"
                   "data: {synthetic: {megabytes: 1, language: chinese}, sequence_length: 32, tokenizer: {type: "
                   "characters, vocab_size: 700}}\n"
                   "model: {layers: 2, hidden: 32, heads: 2, feed_forward: 64, max_length: 32, position: disentangled, "
                   "mask_decoder: enhanced}\n"
                   "train: {steps: 2, batch_size: 4, evaluate_samples: 8}\n");
        const ProgramResult trained = run({"train", "model.yaml"});
        ASSERT_EQ(trained.code, 0) << trained.err;
    }
    static const TemporaryFolder& folder() {
        static const TemporaryFolder folder;
        return folder;
    }
};

TEST_F(CommandExplain, PrintsTheTermsOfTheFirstMask) {
    const ProgramResult result = run({"explain", "runs/zh", "那[MASK]猫睡在垫子上。"});
    ASSERT_EQ(result.code, 0) << result.err;
    for (const char* part :
         {"layer 1 (of 0 to 1), head 0 (of 0 to 1); 11 tokens", "enhanced mask decoder; shown is its last pass, 2 of 2",
          "Query 2 [MASK]", "c2p", "p2c", "log n factor: 1 ", "every key of the text", "3 猫"})
        EXPECT_TRUE(contains(result.out, part)) << part << "\nin\n" << result.out;
    EXPECT_FALSE(contains(result.out, "\x1b")) << "colours go to terminals only";
}

TEST_F(CommandExplain, WritesEveryTermOfEveryPair) {
    const ProgramResult result =
        run({"explain", "runs/zh", "猫睡在垫子上", "--layer", "0", "--head", "1", "--query", "睡", "--csv", "t.csv"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_TRUE(contains(result.out, "Query 2 睡")) << result.out;
    const std::string csv = read_text(folder() / "t.csv");
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'),
              1 + 7 * 8 * 8);  // three terms, sum, score, weight, added; 8 tokens
    EXPECT_TRUE(contains(csv, "\n0,1,p2c,2,3,睡,在,")) << csv;
    EXPECT_TRUE(contains(run({"explain", "runs/zh", "猫睡在垫子上", "--query", "0"}).out, "Query 0 [CLS]"));
}

TEST_F(CommandExplain, OnAGpuTellsWhatItTellsOnTheProcessor) {
    const std::vector<std::string> command = {"explain", "runs/zh", "那[MASK]猫睡在垫子上。", "--device"};
    const auto on = [&](const char* device) {
        std::vector<std::string> arguments = command;
        arguments.emplace_back(device);
        return run(arguments);
    };
    const ProgramResult expected = on("cpu");
    ASSERT_EQ(expected.code, 0) << expected.err;
    for (const Device device : test::gpus()) {
        const ProgramResult result = on(name_of(device));
        ASSERT_EQ(result.code, 0) << result.err;
        EXPECT_TRUE(contains(result.out, "Query 2 [MASK]")) << result.out;
        EXPECT_EQ(result.out.size(), expected.out.size()) << result.out << expected.out;
    }
}

TEST_F(CommandExplain, SaysWhatIsWrong) {
    expect_error({"explain"}, 2, "usage: locus explain MODEL TEXT");
    expect_error({"explain", "runs/zh"}, 2, "usage: locus explain MODEL TEXT");
    expect_error({"explain", "nowhere", "text"}, 3, "nowhere");
    expect_error({"explain", "runs/zh", "猫", "--layer", "2"}, 2, "--layer 2: the model has 2 layers, 0 to 1");
    expect_error({"explain", "runs/zh", "猫", "--head", "-1"}, 2, "--head -1: the model has 2 heads, 0 to 1");
    expect_error({"explain", "runs/zh", "猫", "--query", "狗"}, 2,
                 "the text has no such token; it has: 0 [CLS], 1 猫, 2 [SEP]");
    expect_error({"explain", "runs/zh", "猫", "--query", "3"}, 2, "--query 3");
    expect_error({"explain", "runs/zh", "\xff"}, 2, "not valid UTF-8");
    expect_error({"explain", "--toy", "alibbi"}, 2, "did you mean alibi?");
    expect_error({"explain", "runs/zh", "猫", "--toy"}, 2, "--toy brings its own model");
    expect_error({"explain", "--toy", "alibi", "--device", "cpu"}, 2, "--toy brings its own model");
    expect_error({"explain", "--toy", "rope", "--layer", "1"}, 2, "--toy brings its own model");
}

TEST_F(CommandExplain, ToyNeedsNoModel) {
    const ProgramResult result = run({"explain", "--toy"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out.rfind("t5_bias: ", 0), 0U) << result.out;
    EXPECT_EQ(run({"explain", "--toy", "rope"}).out.rfind("rope: ", 0), 0U);
}

}  // namespace
}  // namespace locus
