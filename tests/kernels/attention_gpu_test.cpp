// What only attention on a GPU has: threads in any order, gradients in shares, rows in bfloat16. That it equals the textbook: attention_test.cpp.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include "kernels/attention.h"
#include "tests/kernels/attention_problem.h"
#include "tests/kernels/attention_results.h"
#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

AttentionSetup everything_of_some_length(const char* name) {
    AttentionSetup setup = small_everything(name);
    setup.k_lengths = {150, 0, 7};
    setup.head_dim = 20;
    return setup;
}

TEST(AttentionOnAGpu, GivesTheSameBitsInAnyOrderOfThreads) {
    for (const Device device : gpus()) {
        std::vector<std::vector<double>> first;
        on_each_gpu([&] {
            if (OnDevice::current() != device) return;
            AttentionProblem<float> problem(everything_of_some_length("order"), device);
            attention_forward(problem.forward);
            attention_backward(problem.backward);
            if (first.empty()) first = results(problem);
            EXPECT_TRUE(results(problem) == first);
        });
    }
}

TEST(AttentionOnAGpu, GivesTheSameGradientsOfRowsWhenNobodyAsksForThoseOfTerms) {
    on_each_gpu([] {
        const AttentionSetup setup = everything_of_some_length("frozen");
        AttentionProblem<float> trained(setup, OnDevice::current()), frozen(setup, OnDevice::current());
        frozen.backward.dterms = {};
        for (AttentionProblem<float>* problem : {&trained, &frozen}) {
            attention_forward(problem->forward);
            attention_backward(problem->backward);
        }
        EXPECT_EQ(elements(frozen.backward.dq), elements(trained.backward.dq));
        EXPECT_EQ(elements(frozen.backward.dk), elements(trained.backward.dk));
        EXPECT_EQ(elements(frozen.backward.dvalue), elements(trained.backward.dvalue));
    });
}

// ---- bfloat16: the upper halves of float32 ----

void cut_to_upper_halves(const Tensor& x) {
    for (std::int64_t n = 0; n < x.count(); ++n) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, x.as<float>() + n, sizeof(bits));
        bits &= 0xFFFF0000U;
        std::memcpy(x.as<float>() + n, &bits, sizeof(bits));
    }
}

Tensor upper_halves(const Tensor& x, std::deque<Memory>& memory) {
    memory.emplace_back(static_cast<std::size_t>(x.count()) * sizeof(bfloat16_t));
    const Tensor half(memory.back().data(), x.shape, DType::bfloat16, x.device);
    for (std::int64_t n = 0; n < x.count(); ++n) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, x.as<float>() + n, sizeof(bits));
        half.as<bfloat16_t>()[n].bits = static_cast<std::uint16_t>(bits >> 16U);
    }
    return half;
}

Owned widened(const Tensor& half) {
    Owned x(half.shape, DType::float32);
    for (std::int64_t n = 0; n < half.count(); ++n) {
        const std::uint32_t bits = static_cast<std::uint32_t>(half.as<bfloat16_t>()[n].bits) << 16U;
        std::memcpy(x.tensor().as<float>() + n, &bits, sizeof(bits));
    }
    return x;
}

// An error of the scores is as large a relative one of the probabilities; what is stored is rounded besides.
void expect_bfloat16_rows(const AttentionSetup& setup, double tolerance_of_scores) {
    on_each_gpu([&] {
        AttentionProblem<float> wide(setup, OnDevice::current()), narrow(setup, OnDevice::current());
        std::deque<Memory> memory;
        for (AttentionProblem<float>* problem : {&wide, &narrow})
            for (Tensor AttentionBackward::*x :
                 {&AttentionBackward::q, &AttentionBackward::k, &AttentionBackward::value, &AttentionBackward::dout})
                cut_to_upper_halves(problem->backward.*x);
        AttentionBackward& b = narrow.backward;
        for (Tensor* x : {&b.q, &b.k, &b.value, &b.out, &b.dout, &b.dq, &b.dk, &b.dvalue})
            *x = upper_halves(*x, memory);
        narrow.forward.q = b.q, narrow.forward.k = b.k, narrow.forward.value = b.value, narrow.forward.out = b.out;
        for (AttentionProblem<float>* problem : {&wide, &narrow}) {
            attention_forward(problem->forward);
            attention_backward(problem->backward);
        }
        expect_same_log_sum_exp(narrow.forward.log_sum_exp, wide.forward.log_sum_exp, tolerance_of_scores);
        EXPECT_TRUE(close("out", widened(b.out), wide.forward.out, 0.0, 4e-3 + tolerance_of_scores));
        const auto got = narrow.differentiable(), expected = wide.differentiable();
        for (std::size_t n = 0; n < got.size(); ++n) {
            const Tensor gradient = got[n].second.second;
            const Owned rows = gradient.dtype == DType::bfloat16 ? widened(gradient) : Owned();
            EXPECT_TRUE(close(got[n].first, gradient.dtype == DType::bfloat16 ? rows.tensor() : gradient,
                              expected[n].second.second, 0.0, 1e-2));
        }
    });
}

TEST(AttentionOnAGpu, KeepsRowsInBfloat16AndTermsInFloat32) {
    expect_bfloat16_rows(everything_of_some_length("bfloat16"), 1e-6);
}

TEST(AttentionOnAGpu, KeepsRowsInBfloat16OnTensorCores) {
    AttentionSetup setup = everything_of_some_length("bfloat16 on tensor cores");
    setup.head_dim = 32;
    setup.scale = 0.2;
    expect_bfloat16_rows(setup, 3e-3);  // there the tables are rounded too
    setup.content_bias = false;         // then the rows of q are copied as they are
    expect_bfloat16_rows(setup, 3e-3);
}

}  // namespace
}  // namespace locus::test
