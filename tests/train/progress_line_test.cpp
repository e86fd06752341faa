#include "train/progress_line.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>

#include "train/terminal.h"

namespace locus {
namespace {

Progress example() {
    Progress progress;
    progress.step = 1200;
    progress.steps = 2000;
    progress.loss = 3.21449;
    progress.tokens_per_second = 15230;
    progress.flops_per_second = 85.14e9;
    progress.data_wait = 0.004;
    progress.seconds_left = 192;
    return progress;
}

TEST(ProgressLine, TellsEverythingWhereThereIsRoom) {
    const std::string text = progress_text(example(), 200);
    EXPECT_EQ(text.find("step 1200/2000  loss 3.214  15.2k tokens/s  85.1 GFLOP/s  data wait 0%  3m12s left  done "),
              0U)
        << text;
}

TEST(ProgressLine, LeavesOutTheLeastImportantWhereThereIsNone) {
    for (int columns = 15; columns < 100; ++columns) {
        const std::string text = progress_text(example(), columns);
        EXPECT_EQ(text.find("step 1200/2000"), 0U);
        EXPECT_LT(static_cast<int>(text.size()), columns);
    }
    EXPECT_EQ(progress_text(example(), 40), "step 1200/2000  loss 3.214  3m12s left");
}

TEST(ProgressLine, WritesDurationsAndQuantitiesShortly) {
    EXPECT_EQ(duration_text(0.4), "0s");
    EXPECT_EQ(duration_text(59.6), "1m00s");
    EXPECT_EQ(duration_text(7500), "2h05m");
    EXPECT_EQ(duration_text(3 * 86400 + 4 * 3600), "3d04h");
    EXPECT_EQ(quantity_text(950), "950");
    EXPECT_EQ(quantity_text(15230), "15.2k");
    EXPECT_EQ(quantity_text(3.1e6), "3.10M");
}

TEST(ProgressLine, SmoothedLossStartsAtTheFirstValue) {
    SmoothedLoss loss;
    loss.add(8);
    EXPECT_DOUBLE_EQ(loss.value(), 8);
    for (int n = 0; n < 500; ++n) loss.add(2);
    EXPECT_NEAR(loss.value(), 2, 1e-6);
}

std::string read_available(int file) {
    std::array<char, 4096> buffer{};
    const ssize_t bytes = read(file, buffer.data(), buffer.size());
    return {buffer.data(), static_cast<std::size_t>(bytes > 0 ? bytes : 0)};
}

TEST(Terminal, WritesNoControlCodesIntoAPipe) {
    int ends[2] = {};
    ASSERT_EQ(pipe(ends), 0);
    Terminal terminal(ends[1], false, true);
    terminal.status("step 1");
    terminal.line("a line");
    terminal.line("careful", true);
    terminal.clear_status();
    close(ends[1]);
    EXPECT_EQ(read_available(ends[0]), "a line\ncareful\n");
    close(ends[0]);
}

TEST(Terminal, RewritesTheStatusBelowTheLinesAndCutsItToTheWidth) {
    int master = 0;
    int slave = 0;
    winsize size = {};
    size.ws_col = 20;
    ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, &size), 0);
    Terminal terminal(slave, true, false);
    terminal.status("a status that is too long for it");
    EXPECT_EQ(read_available(master), "\r\x1b[Ka status that is to");
    terminal.line("careful", true);
    EXPECT_EQ(read_available(master), "\r\x1b[Kcareful\r\na status that is to");  // no colour: NO_COLOR
    terminal.clear_status();
    EXPECT_EQ(read_available(master), "\r\x1b[K");
    close(slave);
    close(master);
}

}  // namespace
}  // namespace locus
