#include "train/text_table.h"

#include <gtest/gtest.h>

#include <limits>

namespace locus {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(TextTable, ChineseTakesTwoColumnsAndCombiningMarksNone) {
    EXPECT_EQ(display_width("abc"), 3);
    EXPECT_EQ(display_width("猫睡"), 4);
    EXPECT_EQ(display_width("e\u0301"), 1);  // e and an acute accent
    EXPECT_EQ(pad_left("猫", 4), "  猫");
    EXPECT_EQ(pad_right("猫", 4), "猫  ");
    EXPECT_EQ(pad_right("abcde", 4), "abcde");
    EXPECT_EQ(fit("猫睡垫子", 8), "猫睡垫子");
    EXPECT_EQ(fit("猫睡垫子", 6), "猫睡~");
    EXPECT_EQ(fit("abcdef", 4), "abc~");
}

TEST(TextTable, ColumnsStayInLine) {
    EXPECT_EQ(text_table({{"token", "sum"}, {"猫", "1.5"}, {"dog", "-10.25"}}, 1, " "),
              " token     sum\n"
              " 猫        1.5\n"
              " dog    -10.25\n");
}

TEST(TextTable, NumbersStayShort) {
    EXPECT_EQ(number_text(0.12345), "0.123");
    EXPECT_EQ(number_text(-0.0001), "0.000");
    EXPECT_EQ(number_text(-1e9), "-1.00e+09");
    EXPECT_EQ(number_text(-std::numeric_limits<double>::infinity()), "-inf");
}

TEST(HeatMap, ShadesByTheLargestWeightWithoutCodesUnlessAsked) {
    const std::vector<std::vector<double>> weights = {{0.5, 0.5}, {0.02, 0.98}};
    EXPECT_EQ(heat_map(weights, {"猫", "dog"}, {}),
              "         0   1\n"
              "0 猫  ▒ 50▒ 50\n"
              "1 dog    2█ 98\n");
    const std::string coloured = heat_map(weights, {"猫", "dog"}, {.colour = true, .columns = 80});
    EXPECT_TRUE(contains(coloured, "\x1b[48;5;27;38;5;231m  98\x1b[0m")) << coloured;
}

TEST(HeatMap, LeavesOutPercentagesAndThenKeysWhereThereIsNoRoom) {
    const std::vector<std::string> tokens(12, "t");
    const std::vector<std::vector<double>> weights(12, std::vector<double>(12, 1.0 / 12));
    EXPECT_TRUE(contains(heat_map(weights, tokens, {.columns = 80}), "█  8"));
    const std::string narrow = heat_map(weights, tokens, {.columns = 40});
    EXPECT_FALSE(contains(narrow, "█  8")) << narrow;
    EXPECT_FALSE(contains(narrow, "--csv")) << narrow;
    const std::string cut = heat_map(weights, tokens, {.columns = 20});
    EXPECT_TRUE(contains(cut, "(keys 7 to 11 do not fit into 20 columns; --csv writes them all)")) << cut;
    std::size_t begin = 0;
    for (std::size_t end; (end = cut.find('\n', begin)) != std::string::npos && cut[begin] != '('; begin = end + 1)
        EXPECT_LE(display_width(cut.substr(begin, end - begin)), 20);
}

}  // namespace
}  // namespace locus
