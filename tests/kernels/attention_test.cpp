// The textbook against a formula written out by hand and against central differences; the fused kernel against the textbook.

#include "kernels/attention.h"

#include <gtest/gtest.h>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>

#include "tests/kernels/attention_problem.h"
#include "tests/kernels/attention_results.h"
#include "tests/kernels/testing.h"

namespace locus {
namespace {

using test::AttentionProblem;
using test::AttentionSetup;
using test::elements;
using test::expect_same_log_sum_exp;
using test::Positions;
using test::results;
using test::small_everything;

std::vector<AttentionSetup> setups() {
    std::vector<AttentionSetup> all;
    const auto add = [&](const char* name, auto change) {
        AttentionSetup setup;
        setup.name = name;
        setup.k_lengths = {17, 64, 0, 129, 1};
        setup.head_dim = 20;
        setup.reach = 40;
        setup.scale = 0.3;
        setup.dropout = 0.1F;
        change(setup);
        all.push_back(setup);
    };
    const auto everything = [](AttentionSetup& s) {
        s.key_table = s.query_table = s.value_table = s.content_bias = s.position_bias = true;
        s.biases = 3;
        s.channels = 2;
    };
    add("Plain", [](AttentionSetup& s) { s.dropout = 0.0F; });
    add("PlainWithDropout", [](AttentionSetup&) {});
    add("KeyTable", [](AttentionSetup& s) { s.key_table = true; });
    add("QueryTable", [](AttentionSetup& s) { s.query_table = true; });
    add("ValueTable", [](AttentionSetup& s) { s.value_table = true; });
    add("ContentBias", [](AttentionSetup& s) { s.content_bias = true; });
    add("KeyTableAndPositionBias", [](AttentionSetup& s) { s.key_table = s.position_bias = true; });
    add("OneBias", [](AttentionSetup& s) { s.biases = 1; });
    add("FourBiases", [](AttentionSetup& s) { s.biases = 4; });
    add("OneMoreChannelList", [](AttentionSetup& s) { s.channels = 1; });
    add("ThreeMoreChannelLists", [](AttentionSetup& s) { s.channels = 3; });
    add("DebertaSharedTables", [](AttentionSetup& s) { s.key_table = s.query_table = s.shared_tables = true; });
    add("Everything", everything);
    add("EverythingShared", [&](AttentionSetup& s) { everything(s), s.shared_tables = true; });
    add("EverythingUnclamped", [&](AttentionSetup& s) { everything(s), s.reach = 130; });
    add("EverythingStronglyClamped", [&](AttentionSetup& s) { everything(s), s.reach = 0; });
    add("EverythingManyLengths", [&](AttentionSetup& s) {
        everything(s);
        s.k_lengths = {0, 1, 2, 17, 64, 129, 300, 2, 1, 65};
        s.head_dim = 8;
    });
    add("EverythingScattered", [&](AttentionSetup& s) { everything(s), s.positions = Positions::scattered; });
    add("EverythingSubset", [&](AttentionSetup& s) { everything(s), s.positions = Positions::subset; });
    add("EverythingFarQueries", [&](AttentionSetup& s) { everything(s), s.positions = Positions::far_queries; });
    add("EverythingInAWindow", [&](AttentionSetup& s) { everything(s), s.window = 9; });
    add("EverythingScatteredInAWindow",
        [&](AttentionSetup& s) { everything(s), s.window = 9, s.positions = Positions::scattered; });
    add("PlainInAWindowAcrossTiles", [](AttentionSetup& s) { s.window = 30, s.k_lengths = {300, 5}; });
    add("PlainSubsetInAWindow", [](AttentionSetup& s) { s.window = 12, s.positions = Positions::subset; });
    add("WindowThatSeesNothing", [](AttentionSetup& s) { s.window = 5, s.positions = Positions::far_queries; });
    add("PlainWithSequenceScale", [](AttentionSetup& s) { s.sequence_scale = true; });
    add("EverythingWithSequenceScale", [&](AttentionSetup& s) { everything(s), s.sequence_scale = true; });
    add("EverythingScatteredInAWindowWithSequenceScale", [&](AttentionSetup& s) {
        everything(s), s.window = 9, s.positions = Positions::scattered, s.sequence_scale = true;
    });
    add("ColumnsOfOneProduct", [&](AttentionSetup& s) { everything(s), s.fused_product = true; });
    add("Accumulate", [&](AttentionSetup& s) { everything(s), s.accumulate = true; });
    add("EverythingSubsetOfALongSequence", [&](AttentionSetup& s) {
        everything(s), s.positions = Positions::subset, s.k_lengths = {700}, s.heads = 1, s.head_dim = 32;
    });
    add("EverythingAroundTilesOfOneHead", [&](AttentionSetup& s) {
        everything(s), s.k_lengths = {1, 2, 33, 128, 130, 257}, s.heads = 1, s.head_dim = 32;
    });
    for (const std::int64_t head_dim : {1, 8, 32, 64, 128, 136})
        add(("HeadDim" + std::to_string(head_dim)).c_str(), [&](AttentionSetup& s) {
            everything(s), s.head_dim = head_dim, s.scale = 1.0 / std::sqrt(2.0 * static_cast<double>(head_dim));
        });
    return all;
}

/// Both passes in T, on the device of the hour, against the textbook.
template <class T>
void compare_with_textbook(const AttentionSetup& setup, double tolerance, bool bfloat16 = false) {
    AttentionProblem<double> expected(setup);
    attention_reference_forward(expected.forward);
    attention_reference_backward(expected.backward);
    AttentionProblem<T> got(setup, test::OnDevice::current());
    got.forward.bfloat16 = got.backward.bfloat16 = bfloat16;
    attention_forward(got.forward);
    attention_backward(got.backward);
    EXPECT_TRUE(test::close("out", got.forward.out, expected.forward.out, tolerance, tolerance));
    expect_same_log_sum_exp(got.forward.log_sum_exp, expected.forward.log_sum_exp, tolerance);
    const auto all = got.differentiable(), wanted = expected.differentiable();
    ASSERT_EQ(all.size(), wanted.size());
    for (std::size_t n = 0; n < all.size(); ++n)
        EXPECT_TRUE(test::close("gradient of " + all[n].first, all[n].second.second, wanted[n].second.second, tolerance,
                                tolerance));
    EXPECT_EQ(got.arena.used(), 0U);
}

class Attention : public ::testing::TestWithParam<AttentionSetup> {};

TEST_P(Attention, EqualsTheTextbookInFloat64) { compare_with_textbook<double>(GetParam(), 1e-10); }
TEST_P(Attention, EqualsTheTextbookInFloat32) { compare_with_textbook<float>(GetParam(), 1e-5); }
TEST_P(Attention, EqualsTheTextbookInBfloat16) { compare_with_textbook<float>(GetParam(), 6e-2, true); }

TEST_P(Attention, GivesTheSameBitsForAnyNumberOfThreads) {
    for (const bool bfloat16 : {false, true}) {
        std::vector<std::vector<double>> first;
        for (const int threads : {1, 2, 3}) {
            const test::Threads limit(threads);
            AttentionProblem<float> problem(GetParam());
            problem.forward.bfloat16 = problem.backward.bfloat16 = bfloat16;
            attention_forward(problem.forward);
            attention_backward(problem.backward);
            if (first.empty()) first = results(problem);
            EXPECT_TRUE(results(problem) == first) << threads << " threads";
        }
    }
}

TEST_P(Attention, EqualsTheTextbookOnAGpu) {
    test::on_each_gpu([] { compare_with_textbook<float>(GetParam(), 1e-5); });
}

INSTANTIATE_TEST_SUITE_P(Setups, Attention, ::testing::ValuesIn(setups()),
                         [](const auto& info) { return info.param.name; });

// Two keys, one head of one number: everything by hand.
TEST(AttentionReference, EqualsTheFormulaWrittenOut) {
    AttentionSetup setup;
    setup.k_lengths = {2};
    setup.heads = setup.head_dim = 1;
    setup.key_table = setup.query_table = setup.value_table = setup.content_bias = setup.position_bias = true;
    setup.biases = 2;
    setup.channels = 2;
    setup.reach = 1;
    AttentionProblem<double> problem(setup);
    attention_reference_forward(problem.forward);
    const auto at = [](const Tensor& x, std::int64_t n) { return x.as<double>()[n]; };
    const AttentionForward& f = problem.forward;
    const auto row = [](const RelativeTable& table, int r) {
        return table.rows.as<double>()[table.row_of_distance.as<std::int32_t>()[r + 1]];
    };
    for (int i = 0; i < 2; ++i) {
        double score[2];
        for (int j = 0; j < 2; ++j) {
            const double u = at(f.terms.content_bias, 0), v = at(f.terms.position_bias, 0);
            double more = at(f.terms.channels[1].query, i) * at(f.terms.channels[1].key, j);
            for (int c = 0; c < 3; ++c)
                more += at(f.terms.channels[0].query, 3 * i + c) * at(f.terms.channels[0].key, 3 * j + c);
            score[j] = 0.6 * ((at(f.q, i) + u) * at(f.k, j) + more + (at(f.q, i) + v) * row(f.terms.key_table, i - j) +
                              at(f.k, j) * row(f.terms.query_table, i - j)) +
                       at(f.terms.biases[0], i - j + 1) + at(f.terms.biases[1], i - j + 2);
        }
        const double e0 = std::exp(score[0]), e1 = std::exp(score[1]);
        const double out = (e0 * (at(f.value, 0) + row(f.terms.value_table, i)) +
                            e1 * (at(f.value, 1) + row(f.terms.value_table, i - 1))) /
                           (e0 + e1);
        EXPECT_NEAR(at(f.out, i), out, 1e-14);
        EXPECT_NEAR(at(f.log_sum_exp, i), std::log(e0 + e1), 1e-14);
    }
}

void expect_central_differences(const AttentionSetup& setup) {
    AttentionProblem<double> problem(setup);
    std::deque<test::Owned> values, gradients;  // copies that the checker may move
    const auto copy = [](const Tensor& from) {
        test::Owned to(from.shape, DType::float64);
        for (std::int64_t n = 0; n < from.count(); ++n) to.set(n, test::element(from, n));
        return to;
    };
    const auto all = problem.differentiable();
    for (const auto& one : all) {
        const Tensor gradient = one.second.second;
        std::fill_n(gradient.as<double>(), gradient.count(), 0.0);
    }
    attention_reference_forward(problem.forward);
    attention_reference_backward(problem.backward);
    const std::vector<double> weights = elements(problem.backward.dout);
    test::GradientCheck check([&] {
        for (std::size_t n = 0; n < all.size(); ++n)
            for (std::int64_t i = 0; i < values[n].count(); ++i) all[n].second.first.as<double>()[i] = values[n].get(i);
        attention_reference_forward(problem.forward);
        double loss = 0.0;
        for (std::size_t n = 0; n < weights.size(); ++n) loss += weights[n] * problem.forward.out.as<double>()[n];
        return loss;
    });
    for (const auto& one : all) {
        values.push_back(copy(one.second.first));
        gradients.push_back(copy(one.second.second));
        check.input(one.first, values.back(), gradients.back());
    }
    EXPECT_TRUE(check.run()) << setup.name;
}

TEST(AttentionReference, BackwardMatchesCentralDifferences) {
    expect_central_differences(small_everything("run on"));
    AttentionSetup scattered = small_everything("scattered");
    scattered.positions = Positions::scattered;
    expect_central_differences(scattered);
    AttentionSetup window = small_everything("window");
    window.window = 2;
    window.shared_tables = true;
    expect_central_differences(window);
    AttentionSetup scaled = small_everything("sequence scale");
    scaled.sequence_scale = true;
    expect_central_differences(scaled);
    AttentionSetup plain;
    plain.name = "plain";
    expect_central_differences(plain);
}

TEST(AttentionDropout, DropsTheAnnouncedShareAndKeepsTheExpectation) {
    AttentionSetup setup;
    setup.k_lengths = {200};
    setup.head_dim = 1;
    setup.heads = 4;
    setup.dropout = 0.25F;
    setup.scale = 0.0;  // all probabilities are 1 / 200
    AttentionProblem<float> problem(setup);
    std::fill_n(problem.forward.value.as<float>(), problem.forward.value.count(), 1.0F);
    attention_forward(problem.forward);
    double sum = 0.0;
    const std::vector<double> out = elements(problem.forward.out);
    for (const double x : out) sum += x;
    EXPECT_NEAR(sum / static_cast<double>(out.size()), 1.0, 0.01);  // 160 000 decisions
    EXPECT_NE(out[0], out[1]);                                      // heads draw their own masks
}

/// Calls `work` with the processor as the device of the hour, then with each GPU.
void on_each_device(const std::function<void()>& work) {
    work();
    test::on_each_gpu(work);
}

void expect_sequences_apart() {
    AttentionSetup setup = small_everything("leak");
    setup.k_lengths = {33, 70, 20};
    setup.head_dim = 16;
    const auto run = [&](double replacement) {
        AttentionProblem<float> problem(setup, test::OnDevice::current());
        for (const Tensor& x : {problem.forward.q, problem.forward.k, problem.forward.value, problem.backward.dout})
            std::fill_n(x.as<float>() + 33 * 2 * 16, 70 * 2 * 16, static_cast<float>(replacement));
        attention_forward(problem.forward);
        attention_backward(problem.backward);
        std::vector<std::vector<double>> result;
        for (const Tensor& x : {problem.forward.out, problem.backward.dq, problem.backward.dk, problem.backward.dvalue})
            result.push_back(elements(x));
        return result;
    };
    const auto some = run(0.5), other = run(-2.0), poisoned = run(std::numeric_limits<double>::quiet_NaN());
    constexpr std::size_t begin = 33 * 2 * 16, end = 103 * 2 * 16;
    for (std::size_t tensor = 0; tensor < some.size(); ++tensor) {
        for (std::size_t n = 0; n < some[tensor].size(); ++n) {
            if (n >= begin && n < end) {
                EXPECT_TRUE(std::isnan(poisoned[tensor][n])) << "a NaN is hidden at " << tensor << ", " << n;
            } else {
                ASSERT_EQ(some[tensor][n], other[tensor][n]) << tensor << ", " << n;
                ASSERT_EQ(some[tensor][n], poisoned[tensor][n]) << tensor << ", " << n;
            }
        }
    }
}

TEST(AttentionRows, ASequenceDoesNotSeeAnother) { on_each_device(expect_sequences_apart); }

TEST(AttentionRows, AQueryWithoutAVisibleKeyYieldsZero) {
    AttentionSetup setup = small_everything("nothing to see");
    setup.positions = Positions::far_queries;
    setup.window = 3;
    on_each_device([&] {
        AttentionProblem<float> problem(setup, test::OnDevice::current());
        attention_forward(problem.forward);
        attention_backward(problem.backward);
        for (const Tensor& x : {problem.forward.out, problem.backward.dq, problem.backward.dk, problem.backward.dvalue})
            for (const double value : elements(x)) EXPECT_EQ(value, 0.0);
        for (const double value : elements(problem.forward.log_sum_exp))
            EXPECT_EQ(value, -std::numeric_limits<double>::infinity());
    });
}

TEST(AttentionRows, OfNoSequencesChangeNoGradient) {
    AttentionSetup setup = small_everything("nothing");
    setup.k_lengths = {0, 0};
    on_each_device([&] {
        AttentionProblem<float> problem(setup, test::OnDevice::current());
        const std::vector<double> before = elements(problem.backward.dterms.key_table);
        attention_forward(problem.forward);
        attention_backward(problem.backward);
        EXPECT_EQ(elements(problem.backward.dterms.key_table), before);
    });
}

// Scores from 0 to -86, as biases that grow with the distance make them: every step of them once.
TEST(AttentionSoftmax, FarKeysLeaveNoDenormalNumbers) {
    AttentionSetup setup;
    setup.k_lengths = {300};
    setup.head_dim = 16;
    setup.scale = 1.0;
    AttentionProblem<float> problem(setup);
    const std::int64_t heads = setup.heads;
    for (std::int64_t row = 0; row < 300 * heads; ++row) {
        float* const q = problem.forward.q.as<float>() + row * 16;
        float* const k = problem.forward.k.as<float>() + row * 16;
        std::fill_n(q, 16, 0.0F), std::fill_n(k, 16, 0.0F);
        q[0] = 1.0F;
        k[0] = -86.0F * static_cast<float>(row / heads) / 299.0F;
    }
    for (const Tensor& x : {problem.forward.value, problem.backward.dout})
        for (std::int64_t n = 0; n < x.count(); ++n) x.as<float>()[n] *= 1e-3F;
    attention_forward(problem.forward);
    attention_backward(problem.backward);
    for (const Tensor& x : {problem.forward.out, problem.backward.dq, problem.backward.dk, problem.backward.dvalue})
        for (std::int64_t n = 0; n < x.count(); ++n)
            ASSERT_NE(std::fpclassify(x.as<float>()[n]), FP_SUBNORMAL) << "element " << n << ": " << x.as<float>()[n];
    EXPECT_NE(problem.backward.dk.as<float>()[0], 0.0F);
}

TEST(AttentionMemory, IsLinearInTheLengthOfTheSequence) {
    const auto peak = [](int length, Positions positions) {
        AttentionSetup setup = small_everything("long");
        setup.k_lengths = {length};
        setup.heads = 1;
        setup.head_dim = 16;
        setup.reach = 64;
        setup.positions = positions;
        AttentionProblem<float> problem(setup);
        attention_forward(problem.forward);
        attention_backward(problem.backward);
        return static_cast<double>(problem.arena.peak());
    };
    // 64 and 16 times as much if anything were quadratic.
    EXPECT_LT(peak(4096, Positions::run_on) / peak(512, Positions::run_on), 8.5);
    EXPECT_LT(peak(2048, Positions::scattered) / peak(512, Positions::scattered), 4.5);
    EXPECT_LT(peak(4096, Positions::run_on), 4.0 * 4096 * 4096);  // less than one [S, S] of float32
}

TEST(AttentionContract, BrokenArgumentsAreNamed) {
    AttentionSetup setup = small_everything("broken");
    const auto message = [&](auto change) -> std::string {
        AttentionProblem<float> problem(setup);
        change(problem);
        try {
            attention_forward(problem.forward);
        } catch (const std::logic_error& error) {
            return error.what();
        }
        return "no error";
    };
    using Problem = AttentionProblem<float>;
    EXPECT_EQ(message([](Problem&) {}), "no error");
    EXPECT_NE(message([](Problem& p) { p.forward.k = p.forward.k.slice(2, 0, 3); }).find("k is float32 [8, 2, 3]"),
              std::string::npos);
    EXPECT_NE(message([](Problem& p) {
                  p.forward.terms.key_table.row_of_distance.as<std::int32_t>()[0] = 99;
              }).find("key_table: distance -3 maps to row 99 of 5"),
              std::string::npos);
    EXPECT_NE(message([](Problem& p) { p.forward.q_rows.offsets.as<std::int32_t>()[1] = 9; }).find("fall at sequence"),
              std::string::npos);
    EXPECT_NE(message([](Problem& p) { p.forward.dropout.probability = 1.0F; }).find("leaves nothing"),
              std::string::npos);
    EXPECT_NE(message([](Problem& p) { p.forward.arena = nullptr; }).find("arena"), std::string::npos);
    EXPECT_NE(message([](Problem& p) {
                  p.forward.k_rows.offsets.device = Device::simt;
              }).find("key offsets: on simt, should be on cpu"),
              std::string::npos);
}

}  // namespace
}  // namespace locus
