#include "train/metrics.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <clocale>
#include <csignal>
#include <limits>
#include <system_error>

#include "tests/train/temporary_folder.h"

namespace locus {
namespace {

MetricsRow train_row(std::int64_t step) {
    MetricsRow row;
    row.step = step;
    row.tokens = step * 1000;
    row.epoch = 0.1;
    row.split = "train";
    row.loss = 1.0 / 3;
    row.masked_accuracy = 0.25;
    row.learning_rate = 1e-4;
    row.gradient_norm = 2;
    row.tokens_per_second = 12345.5;
    row.elapsed_seconds = 1.5;
    return row;
}

TEST(Metrics, ColumnsAreThoseOfTheContract) {
    EXPECT_STREQ(
        metrics_header,
        "step,tokens,epoch,split,loss,masked_accuracy,learning_rate,gradient_norm,tokens_per_second,elapsed_seconds\n");
    EXPECT_EQ(format_row(train_row(7)), "7,7000,0.1,train,0.3333333333333333,0.25,1e-04,2,12345.5,1.5\n");
}

TEST(Metrics, AbsentCellsAreEmptyAndBadNumbersAreWrittenAsTheyAre) {
    MetricsRow row = train_row(1);
    row.split = "valid";
    row.learning_rate = row.gradient_norm = row.tokens_per_second = std::nullopt;
    row.loss = -std::numeric_limits<double>::quiet_NaN();
    row.masked_accuracy = std::numeric_limits<double>::infinity();
    EXPECT_EQ(format_row(row), "1,1000,0.1,valid,nan,inf,,,,1.5\n");
}

TEST(Metrics, NumbersDoNotDependOnTheLocale) {
    const std::string before = format_row(train_row(3));
    const char* set = std::setlocale(LC_ALL, "de_DE.UTF-8");  // decimal comma, where it is installed
    if (set == nullptr) set = std::setlocale(LC_ALL, "");
    const std::string after = format_row(train_row(3));
    std::setlocale(LC_ALL, "C");
    EXPECT_EQ(before, after);
}

TEST(Metrics, EachRowIsInTheFileAtOnce) {
    const TemporaryFolder folder;
    MetricsFile metrics(folder / "metrics.csv");
    EXPECT_EQ(read_text(folder / "metrics.csv"), metrics_header);
    EXPECT_TRUE(metrics.append(train_row(1)));
    EXPECT_EQ(read_text(folder / "metrics.csv"), metrics_header + format_row(train_row(1)));
    EXPECT_EQ(metrics.bytes(), static_cast<std::int64_t>(read_text(folder / "metrics.csv").size()));
}

TEST(Metrics, ResumingCutsWhatCameAfterTheCheckpoint) {
    const TemporaryFolder folder;
    std::int64_t at_checkpoint = 0;
    {
        MetricsFile metrics(folder / "metrics.csv");
        metrics.append(train_row(1));
        at_checkpoint = metrics.bytes();
        metrics.append(train_row(2));
        metrics.append(train_row(3));
    }
    {
        MetricsFile resumed(folder / "metrics.csv", at_checkpoint, 1);
        EXPECT_FALSE(resumed.was_edited());
        resumed.append(train_row(2));
    }
    EXPECT_EQ(read_text(folder / "metrics.csv"), metrics_header + format_row(train_row(1)) + format_row(train_row(2)));
}

TEST(Metrics, AnEditedFileKeepsTheRowsUpToTheCheckpoint) {
    const TemporaryFolder folder;
    write_text(folder / "metrics.csv", "step,other\n1,a\n2,b\n3,c\n4,half a li");
    MetricsFile resumed(folder / "metrics.csv", 5000, 2);
    EXPECT_TRUE(resumed.was_edited());
    EXPECT_EQ(read_text(folder / "metrics.csv"), std::string(metrics_header) + "1,a\n2,b\n");
}

TEST(Metrics, RowsWaitWhileTheDiskIsFullAndNoneIsWrittenByHalves) {
    const TemporaryFolder folder;
    std::signal(SIGXFSZ, SIG_IGN);
    MetricsFile metrics(folder / "metrics.csv");
    rlimit old = {};
    getrlimit(RLIMIT_FSIZE, &old);
    rlimit small = old;
    small.rlim_cur = static_cast<rlim_t>(metrics.bytes() + 10);
    setrlimit(RLIMIT_FSIZE, &small);
    const bool written = metrics.append(train_row(1));
    bool sync_threw = false;
    try {
        metrics.sync();
    } catch (const std::system_error&) {
        sync_threw = true;
    }
    setrlimit(RLIMIT_FSIZE, &old);
    EXPECT_FALSE(written);
    EXPECT_TRUE(sync_threw);
    EXPECT_EQ(read_text(folder / "metrics.csv"), metrics_header);
    EXPECT_TRUE(metrics.append(train_row(2)));
    EXPECT_EQ(read_text(folder / "metrics.csv"), metrics_header + format_row(train_row(1)) + format_row(train_row(2)));
}

}  // namespace
}  // namespace locus
