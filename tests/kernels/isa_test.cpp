#include "kernels/isa.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace locus {
namespace {

TEST(Isa, IsTheOneThatTheEnvironmentAsksFor) {
    const char* wish = std::getenv("LOCUS_ISA");
    if (wish == nullptr || *wish == '\0') wish = name_of(isa());
    EXPECT_STREQ(name_of(isa()), wish);
}

// The choice is made once per process, so each of these starts a process of its own.
int exit_code_under(const char* wish) {
    setenv("LOCUS_ISA", wish, 1);
    try {
        std::exit(static_cast<int>(isa()));
    } catch (const std::invalid_argument& error) {
        std::fprintf(stderr, "%s\n", error.what());
        std::exit(9);
    }
}

class IsaDeathTest : public ::testing::Test {
protected:
    void SetUp() override { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(IsaDeathTest, BaselineCanAlwaysBeForced) {
    EXPECT_EXIT(exit_code_under("baseline"), ::testing::ExitedWithCode(static_cast<int>(Isa::baseline)), "");
}

TEST_F(IsaDeathTest, AnUnknownNameIsRefusedWithTheKnownOnes) {
    EXPECT_EXIT(exit_code_under("avx1024"), ::testing::ExitedWithCode(9), "avx1024: use baseline, avx2, avx512 or amx");
}

TEST_F(IsaDeathTest, AnEmptyValueMeansTheBest) {
    EXPECT_EXIT(
        exit_code_under(""), [](int status) { return WIFEXITED(status) && WEXITSTATUS(status) <= 3; }, "");
}

TEST(ProcessorName, IsNotEmpty) { EXPECT_FALSE(processor_name().empty()); }

}  // namespace
}  // namespace locus
