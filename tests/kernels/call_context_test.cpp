#include "kernels/call_context.h"

#include <string>

#include "kernels/adamw.h"
#include "kernels/matmul.h"
#include "tests/kernels/attention_problem.h"
#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

std::string message_of(const std::function<void()>& work) {
    try {
        work();
    } catch (const GpuError& error) {
        return error.what();
    }
    return "no error";
}

// Of a call that passes its checks: what they noted.
std::string arguments_of(const std::function<void()>& call) {
    return message_of([&] { throw_with_arguments(GpuError("refused"), "op", "/somewhere/kernels/op.cpp", 7, call); });
}

TEST(CallContext, ALaunchThatTheDeviceRefusesNamesTheOperationItsTensorsAndThePlace) {
    on_each_gpu([] {
        const std::int64_t count = std::int64_t{1} << 41U;  // 2^31 blocks, one more than there can be; never touched
        const Owned one = zeros({1}, DType::float32);
        const Tensor huge(one.tensor().data, {count}, DType::float32, OnDevice::current());
        const std::string message =
            message_of([&] { adamw({.parameter = huge, .gradient = huge, .m = huge, .v = huge, .learning_rate = 1}); });
        for (const char* part :
             {"the GPU refused: [adamw] 2147483648 x 1 x 1 blocks of 256 x 1 x 1 threads",
              ", at kernels/adamw.cu:", "invalid configuration argument",
              "; called as adamw(parameter float32 [2199023255552], gradient float32 [2199023255552], m float32",
              ") of kernels/adamw.cpp:"})
            EXPECT_NE(message.find(part), std::string::npos) << part << " is not in " << message;

        const Owned x = filled({3}, DType::float32, 2), sum = zeros({1}, DType::float64);
        sum_of_squares({x, sum});  // the next launch is not blamed
        wait_for(OnDevice::current());
        EXPECT_EQ(sum.get(0), 12);
    });
}

TEST(CallContext, NothingIsAddedWhereNoCallFails) {
    const Owned x = zeros({3}, DType::float32), sum = zeros({1}, DType::float64);
    EXPECT_EQ(arguments_of([] {}), "refused; called as op() of kernels/op.cpp:7");
    sum_of_squares({x, sum});
    EXPECT_EQ(arguments_of([] {}), "refused; called as op() of kernels/op.cpp:7");
    EXPECT_EQ(arguments_of([&] {
                  sum_of_squares({x, sum});
              }),
              "refused; called as op(x float32 [3], result float64 [1]) of kernels/op.cpp:7");
}

TEST(CallContext, AProductIsNamedWithItsWholeForm) {
    const Owned a = zeros({4, 2}, DType::float32), b = zeros({8, 6}, DType::float32), c = zeros({2, 8}, DType::float32);
    const Owned bias = zeros({8}, DType::float32);
    EXPECT_EQ(
        arguments_of([&] {
            matmul({.a = a,
                    .b = b.tensor().slice(1, 0, 4),
                    .c = c,
                    .transpose_a = true,
                    .transpose_b = true,
                    .bias = bias});
        }),
        "refused; called as op(transpose_a, transpose_b, bias float32 [8], a float32 [4, 2], b float32 [8, 4] with "
        "strides [6, 1], c float32 [2, 8]) of kernels/op.cpp:7");
}

TEST(CallContext, AttentionIsNamedWithItsTensors) {
    const AttentionProblem<float> problem(small_everything("everything"));
    const std::string message = arguments_of([&] { attention_forward(problem.forward); });
    for (const char* part : {"(q float32 [8, 2, 4]", ", key_table float32 [", ", value_table float32 ["})
        EXPECT_NE(message.find(part), std::string::npos) << part << " is not in " << message;
}

}  // namespace
}  // namespace locus::test
