// Comparisons from end to end, with models so small that a run takes a moment.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/train/run_program.h"
#include "tests/train/tiny_run.h"

namespace locus {
namespace {

namespace fs = std::filesystem;

const char* const tables[] = {"runs.csv", "lengths.csv", "probes.csv"};

/// The processes that `parent` started and that still run.
std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> children;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        std::ifstream file(entry.path() / "stat");
        std::string text;
        std::getline(file, text);
        const std::size_t name_end = text.rfind(')');  // "12 (locus) S 11 ..."
        if (name_end == std::string::npos) continue;
        std::istringstream rest(text.substr(name_end + 1));
        std::string state;
        pid_t its_parent = 0;
        rest >> state >> its_parent;
        if (its_parent == parent && state != "Z") children.push_back(std::stoi(entry.path().filename().string()));
    }
    return children;
}

std::vector<std::vector<std::string>> rows_of(const std::string& csv) {
    std::vector<std::vector<std::string>> rows;
    std::istringstream lines(csv);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream cells(line);
        rows.emplace_back();
        for (std::string cell; std::getline(cells, cell, ',');) rows.back().push_back(cell);
    }
    return rows;
}

std::size_t count_of(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
    return count;
}

class Compare : public testing::Test {
protected:
    void SetUp() override {
        write_tiny_text(folder_ / "train.txt", 0, 4);
        write_tiny_text(folder_ / "valid.txt", 1000, 2);
        write_text(folder_ / "two.yaml", comparison());
    }

    // Two blocks, one of text and one of a probe; 6 runs.
    static std::string comparison(const std::string& rope = "{model: {position: rope}}", int steps = 6) {
        return "compare: {seeds: [1, 2], jobs: 2}\n"
               "base:\n"
               "  model: {layers: 1, hidden: 16, heads: 2, feed_forward: 32, max_length: 16, "
               "dropout: {hidden: 0, attention: 0}}\n"
               "  train: {batch_size: 4, evaluate_every: 0, checkpoint_every: 1, log_every: 1, evaluate_samples: 8, "
               "schedule: {warmup: 1}, steps: " +
               std::to_string(steps) +
               "}\n"
               "blocks:\n"
               "  text:\n"
               "    base: {data: {train: [train.txt], valid: [valid.txt], tokenizer: {type: bytes}, "
               "sequence_length: 16}}\n"
               "    evaluate: {lengths: [16, 32], beyond: [clip, tile], samples: 4, schemes: [chunked]}\n"
               "    runs:\n"
               "      absolute: {model: {position: absolute}}\n"
               "      rope: " +
               rope +
               "\n"
               "  order:\n"
               "    seeds: [3]\n"
               "    base: {data: {probe: {name: order, fillers: 6, questions: 1}, sequence_length: 12}}\n"
               "    evaluate: {lengths: [12, 24], samples: 20}\n"
               "    runs: {alibi: {model: {position: alibi}}, t5: {model: {position: t5_bias}}}\n";
    }

    RunOptions options() const {
        RunOptions options;
        options.folder = folder_.path();
        options.environment = {{"LOCUS_CACHE", (folder_ / "cache").string()}, {"TERM", "dumb"}};
        return options;
    }
    ProgramResult run(const std::vector<std::string>& arguments) const { return run_program(arguments, options()); }
    static std::vector<std::string> compare(const std::string& name) {
        return {"compare", "two.yaml", "--set", "compare.name=" + name};
    }
    std::string table(const std::string& name, const std::string& file) const {
        return read_text(folder_.path() / "runs" / name / file);
    }
    void expect_same_tables(const std::string& a, const std::string& b) const {
        for (const char* file : tables) EXPECT_EQ(table(a, file), table(b, file)) << file;
    }

    TemporaryFolder folder_;
};

TEST_F(Compare, RunsAreThoseThatTrainAndEvaluateMakeByHand) {
    const ProgramResult result = run(compare("two"));
    ASSERT_EQ(result.code, 0) << result.err;
    const fs::path rope = fs::path("runs") / "two" / "text" / "rope" / "seed-2";
    ASSERT_EQ(run({"train", (rope / "config.yaml").string(), "--set", "run.directory=hand", "run.name=rope"}).code, 0);
    EXPECT_TRUE(read_text(folder_.path() / rope / "latest/model.safetensors") ==
                read_text(folder_.path() / "hand/rope/latest/model.safetensors"));
    ASSERT_EQ(run({"evaluate", "hand/rope/latest", "--text", "valid.txt", "--lengths", "16,32", "--samples", "4",
                   "--schemes", "chunked", "--threads", "1", "--csv", "hand.csv"})
                  .code,
              0);
    EXPECT_EQ(read_text(folder_ / "hand.csv"), read_text(folder_.path() / rope / "length_extrapolation.csv"));
}

TEST_F(Compare, TablesHaveEveryRunOnce) {
    ASSERT_EQ(run(compare("two")).code, 0);
    const auto rows = rows_of(table("two", "runs.csv"));
    ASSERT_EQ(rows.size(), 7U);
    const std::vector<std::string> expected[] = {{"text", "absolute", "1"}, {"text", "absolute", "2"},
                                                 {"text", "rope", "1"},     {"text", "rope", "2"},
                                                 {"order", "alibi", "3"},   {"order", "t5", "3"}};
    for (std::size_t n = 0; n < 6; ++n) {
        EXPECT_EQ(std::vector<std::string>(rows[n + 1].begin(), rows[n + 1].begin() + 3), expected[n]);
        EXPECT_EQ(rows[n + 1].at(4), "done");
        EXPECT_EQ(rows[n + 1].at(5), "6");
        EXPECT_EQ(rows[n + 1].at(6), std::to_string(6 * 4 * (n < 4 ? 16 : 12)));
    }
    EXPECT_EQ(rows[1].at(11), rows[2].at(11));  // seeds of one model share the configuration
    EXPECT_NE(rows[1].at(11), rows[3].at(11));
    EXPECT_NE(rows[1].at(8), rows[2].at(8));
    const std::string lengths = table("two", "lengths.csv"), probes = table("two", "probes.csv");
    EXPECT_EQ(lengths.rfind("block,run,seed,encoding,beyond,train_length,length,", 0), 0U);
    EXPECT_GT(count_of(lengths, "text,absolute,1,absolute,tile,16,32,chunked,all,"), 0U);
    EXPECT_GT(count_of(lengths, "text,rope,2,rope,,16,32,chunked,all,"), 0U);
    EXPECT_EQ(probes.rfind("block,run,seed,probe,variant,", 0), 0U);
    EXPECT_EQ(count_of(probes, "\norder,alibi,3,order,"), 2U);
    EXPECT_EQ(count_of(table("two", "times.csv"), "\n"), 7U);
}

TEST_F(Compare, WhatIsFinishedIsNotRepeated) {
    ASSERT_EQ(run(compare("two")).code, 0);
    const fs::path folder = folder_.path() / "runs/two";
    std::vector<std::pair<fs::path, fs::file_time_type>> times;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        const fs::path& path = entry.path();
        if (path.filename() == "metrics.csv" || path.filename() == "output.txt" || path.filename() == "probe.csv")
            times.emplace_back(path, fs::last_write_time(path));
    }
    ASSERT_EQ(times.size(), 14U);
    std::vector<std::string> before;
    for (const char* file : tables) before.push_back(table("two", file));
    const ProgramResult again = run(compare("two"));
    EXPECT_EQ(again.code, 0);
    EXPECT_NE(again.err.find("6 of 6 runs are finished already"), std::string::npos) << again.err;
    for (const auto& [path, time] : times) EXPECT_EQ(fs::last_write_time(path), time) << path;
    for (std::size_t n = 0; n < 3; ++n) EXPECT_EQ(table("two", tables[n]), before[n]);
}

TEST_F(Compare, OtherLengthsAreEvaluatedWithoutTrainingAgain) {
    ASSERT_EQ(run(compare("two")).code, 0);
    const fs::path metrics = folder_.path() / "runs/two/order/t5/seed-3/metrics.csv";
    const auto time = fs::last_write_time(metrics);
    std::vector<std::string> arguments = compare("two");
    arguments.push_back("blocks.order.evaluate.lengths=[12,48]");
    ASSERT_EQ(run(arguments).code, 0);
    EXPECT_EQ(fs::last_write_time(metrics), time);
    const std::string probes = table("two", "probes.csv");
    EXPECT_EQ(count_of(probes, "all,12,24,"), 0U);
    EXPECT_EQ(count_of(probes, "all,12,48,"), 2U);
}

TEST_F(Compare, KilledOrStoppedAnywhereItEndsWithTheSameTables) {
    write_text(folder_ / "two.yaml", comparison("{model: {position: rope}}", 80));
    ASSERT_EQ(run(compare("whole")).code, 0);
    const int signals[] = {SIGKILL, SIGTERM, SIGKILL, SIGINT};
    int disturbed = 0;
    for (int n = 0; n < 40; ++n) {
        RunningProgram program(compare("killed"), options());
        std::this_thread::sleep_for(std::chrono::milliseconds(250 + 90 * (n % 5)));
        const std::vector<pid_t> children = children_of(program.process());
        if (n % 3 == 2 && !children.empty()) kill(children.front(), SIGKILL);
        if (n % 3 != 2 && disturbed < 6) kill(program.process(), signals[n % 4]);
        const int code = program.wait().code;
        if (code == 0) break;
        EXPECT_TRUE(code == 1 || code == 128 + signals[n % 4]) << code;
        ++disturbed;
    }
    EXPECT_GE(disturbed, 2);
    ASSERT_EQ(run(compare("killed")).code, 0);
    expect_same_tables("whole", "killed");
}

TEST_F(Compare, ARunThatDivergesIsShownAndNeitherRepeatedNorInTheWayOfTheOthers) {
    write_text(folder_ / "two.yaml",
               comparison("{model: {position: rope}, train: {optimizer: {learning_rate: 1e30}}}"));
    const ProgramResult result = run(compare("two"));
    EXPECT_EQ(result.code, 4) << result.err;
    const auto rows = rows_of(table("two", "runs.csv"));
    ASSERT_EQ(rows.size(), 7U);
    EXPECT_EQ(rows[1].at(4), "done");
    EXPECT_EQ(rows[3].at(4), "diverged");
    EXPECT_EQ(rows[3].at(8), "");
    EXPECT_NE(table("two", "runs.csv").find("finite"), std::string::npos);
    EXPECT_EQ(rows[5].at(4), "done");
    EXPECT_EQ(count_of(table("two", "lengths.csv"), "text,rope"), 0U);
    const std::string before = table("two", "runs.csv");
    const ProgramResult again = run(compare("two"));
    EXPECT_EQ(again.code, 4);
    EXPECT_NE(again.err.find("6 of 6 runs are finished already"), std::string::npos) << again.err;
    EXPECT_EQ(table("two", "runs.csv"), before);
}

TEST_F(Compare, ARunThatFailsOtherwiseIsShownWithItsReasonAndTriedAgain) {
    std::vector<std::string> arguments = compare("two");
    arguments.push_back("blocks.text.evaluate.text=[short.txt]");
    write_text(folder_ / "short.txt", "too short\n");
    EXPECT_EQ(run(arguments).code, 1);
    const auto rows = rows_of(table("two", "runs.csv"));
    EXPECT_EQ(rows[1].at(4), "failed");
    EXPECT_NE(table("two", "runs.csv").find("evaluation: "), std::string::npos);
    EXPECT_EQ(rows[5].at(4), "done");
    write_text(folder_ / "short.txt", read_text(folder_ / "valid.txt"));
    EXPECT_EQ(run(arguments).code, 0);
    EXPECT_EQ(rows_of(table("two", "runs.csv"))[1].at(4), "done");
}

TEST_F(Compare, ARunThatStartsFromAnotherHasItsWeightsAndWaitsForIt) {
    write_text(folder_ / "two.yaml",
               comparison() +
                   "  longer:\n"
                   "    base: {data: {train: [train.txt], valid: [valid.txt], tokenizer: {type: bytes}, "
                   "sequence_length: 32}, model: {max_length: 32}}\n"
                   "    evaluate: {lengths: [32], samples: 4}\n"
                   "    runs: {tiled: {init_from: text/absolute, model: {position: {encoding: absolute, "
                   "beyond: tile}}}}\n");
    const ProgramResult early = run({"compare", "two.yaml", "--only", "longer", "--set", "compare.name=longer"});
    EXPECT_EQ(early.code, 1);
    EXPECT_NE(table("longer", "runs.csv").find("text/absolute seed 2, which it starts from, has not been trained"),
              std::string::npos);
    const ProgramResult result = run(compare("longer"));
    ASSERT_EQ(result.code, 0) << result.err;
    const fs::path tiled = folder_.path() / "runs/longer/longer/tiled/seed-2";
    EXPECT_NE(read_text(tiled / "log.txt").find("16 rows became 32, by beyond: tile"), std::string::npos);
    EXPECT_NE(read_text(tiled / "log.txt").find("runs/longer/text/absolute/seed-2"), std::string::npos);
    const std::string before = table("longer", "runs.csv");
    ASSERT_EQ(run(compare("longer")).code, 0);
    EXPECT_EQ(table("longer", "runs.csv"), before);
}

TEST_F(Compare, OnlySomeBlocksAreWorkedOnAndTheTablesKeepTheOthers) {
    std::vector<std::string> only = compare("two");
    only.insert(only.begin() + 2, {"--only", "order"});
    ASSERT_EQ(run(only).code, 0);
    EXPECT_EQ(count_of(table("two", "runs.csv"), ",done,"), 2U);
    EXPECT_EQ(count_of(table("two", "runs.csv"), ",unfinished,"), 4U);
    only[3] = "text";
    ASSERT_EQ(run(only).code, 0);
    EXPECT_EQ(count_of(table("two", "runs.csv"), ",done,"), 6U);
    only[3] = "txet";
    const ProgramResult unknown = run(only);
    EXPECT_EQ(unknown.code, 2);
    EXPECT_NE(unknown.err.find("--only txet: there is no such block"), std::string::npos) << unknown.err;
    only.emplace_back("--dry-run");
    EXPECT_EQ(run(only).code, 2);
    only[3] = "order";
    const ProgramResult plan = run(only);
    EXPECT_EQ(plan.code, 0) << plan.err;
    EXPECT_NE(plan.out.find("order "), std::string::npos) << plan.out;
    EXPECT_EQ(plan.out.find("text "), std::string::npos) << plan.out;
}

TEST_F(Compare, AChangedConfigurationIsRefusedAndNamed) {
    ASSERT_EQ(run(compare("two")).code, 0);
    const std::string before = table("two", "runs.csv");
    std::vector<std::string> arguments = compare("two");
    arguments.push_back("base.model.feed_forward=48");
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.code, 2);
    EXPECT_NE(result.err.find("model.feed_forward: 32 there, 48 now"), std::string::npos) << result.err;
    EXPECT_EQ(table("two", "runs.csv"), before);
}

TEST_F(Compare, AFolderOfSomethingElseIsRefused) {
    fs::create_directories(folder_.path() / "runs/two");
    write_text(folder_.path() / "runs/two/metrics.csv", "a run's");
    const ProgramResult result = run(compare("two"));
    EXPECT_EQ(result.code, 2);
    EXPECT_NE(result.err.find("is no comparison"), std::string::npos) << result.err;
}

TEST_F(Compare, ADryRunPrintsThePlanAndMakesNothing) {
    std::vector<std::string> arguments = compare("two");
    arguments.emplace_back("--dry-run");
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.out.find("6 runs, 2 side by side"), std::string::npos) << result.out;
    EXPECT_FALSE(fs::exists(folder_.path() / "runs"));
}

/// speed.csv with figures that do not depend on the machine: a step takes a second, all else nothing.
std::string with_fixed_speeds(const std::string& csv) {
    std::string fixed;
    std::istringstream lines(csv);
    for (std::string line; std::getline(lines, line);) {
        std::size_t end = 0;
        for (int column = 0; column < 4; ++column) end = line.find(',', end + 1);
        fixed += fixed.empty() ? line + "\n" : line.substr(0, end) + ",1,0,0,0,0\n";
    }
    return fixed;
}

TEST_F(Compare, ABudgetSetsTheStepsLeavesOutWhatItMustAndIsKept) {
    std::vector<std::string> arguments = compare("two");
    arguments.insert(arguments.end(), {"compare.minimum_steps=4", "--budget", "1h", "--dry-run"});
    const ProgramResult measured = run(arguments);
    ASSERT_EQ(measured.code, 0) << measured.err;
    const fs::path speeds = folder_.path() / "runs/two/speed.csv";
    ASSERT_EQ(rows_of(read_text(speeds)).size(), 5U);
    EXPECT_FALSE(fs::exists(folder_.path() / "runs/two/plan.csv"));
    write_text(speeds, with_fixed_speeds(read_text(speeds)));

    // Two jobs, a second for each step: 5 runs of 4 steps are 12 seconds, 4 runs 8.
    arguments.pop_back();
    arguments.back() = "12s";  // of which 10.8 are used: 5 steps for the 4 runs that stay
    const ProgramResult result = run(arguments);
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.out.find("left out"), std::string::npos) << result.out;
    const auto rows = rows_of(table("two", "runs.csv"));
    ASSERT_EQ(rows.size(), 7U);
    EXPECT_EQ(rows[1].at(5), "5");
    EXPECT_EQ(rows[4].at(5), "5");
    EXPECT_EQ(rows[5].at(4), "left_out");
    EXPECT_EQ(rows[6].at(4), "left_out");
    const std::string plan = table("two", "plan.csv"), before = table("two", "runs.csv");
    EXPECT_EQ(count_of(plan, ",left_out,"), 2U);

    const ProgramResult again = run({"compare", "two.yaml", "--set", "compare.name=two", "compare.minimum_steps=4"});
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(table("two", "plan.csv"), plan);
    EXPECT_EQ(table("two", "runs.csv"), before);
}

TEST_F(Compare, ABudgetThatIsNoTimeIsRefused) {
    const ProgramResult result = run({"compare", "two.yaml", "--budget", "soon"});
    EXPECT_EQ(result.code, 2);
    EXPECT_NE(result.err.find("--budget soon: expects a time"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace locus
