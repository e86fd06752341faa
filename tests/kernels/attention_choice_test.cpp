#include "kernels/attention_choice.h"

#include <gtest/gtest.h>

namespace locus::test {
namespace {

TEST(AttentionChoice, IsDescribedWithItsReason) {
    EXPECT_EQ(describe_attention(DType::bfloat16, 64), "attention on tensor cores (bfloat16, heads of 64)");
    EXPECT_EQ(describe_attention(DType::float32, 64),
              "attention by plain kernels (float32, heads of 64): tensor cores are used for bfloat16 only");
    EXPECT_EQ(describe_attention(DType::bfloat16, 48),
              "attention by plain kernels (bfloat16, heads of 48): tensor cores are used for heads of 32, 64 or 128");
}

}  // namespace
}  // namespace locus::test
