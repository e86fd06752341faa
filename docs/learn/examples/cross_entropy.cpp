// Softmax and cross-entropy: the gradient, the overflow, the test that cannot fail, and the mean that is not one.
// Chapter: docs/learn/03-softmax-and-cross-entropy.md

#include "kernels/cross_entropy.h"

#include <fmt/core.h>
#include <omp.h>

#include <cmath>

#include "docs/learn/examples/values.h"

namespace locus::learn {
namespace {

struct Result {
    double loss;
    Values gradient;
};

/// Our kernel on one row.
Result loss_and_gradient(Values logits, std::int32_t target) {
    Result result{0.0, {}};
    std::int32_t correct = 0;
    cross_entropy({.logits = view(logits, {1, static_cast<std::int64_t>(logits.size())}),
                   .targets = Tensor(&target, {1}, DType::int32),
                   .loss = Tensor(&result.loss, {1}, DType::float64),
                   .correct = Tensor(&correct, {1}, DType::int32),
                   .gradient = true});
    result.gradient = logits;  // the gradient has taken the place of the logits
    return result;
}

/// The formula of the textbook, taken literally: exp(x) / sum exp(x), in float32.
float naive_loss(const Values& logits, std::size_t target) {
    float sum = 0.0F;
    for (const double x : logits) sum += std::exp(static_cast<float>(x));
    return -std::log(std::exp(static_cast<float>(logits[target])) / sum);
}

void print_row(const char* name, const Values& row) {
    fmt::print("   {:<20}", name);
    for (const double x : row) fmt::print(" {:9.6f}", x);
    fmt::print("\n");
}

}  // namespace
}  // namespace locus::learn

int main() {
    using namespace locus::learn;
    omp_set_num_threads(1);  // one row needs no team of threads
    Values logits = {2.0, 1.0, 0.0};
    const Result result = loss_and_gradient(logits, 1);
    fmt::print("1. Logits 2, 1, 0 and target 1: loss {:.6f}\n", result.loss);
    print_row("gradient p - onehot", result.gradient);
    print_row("central differences", central_differences(logits, [&] { return loss_and_gradient(logits, 1).loss; }));

    Values large = logits;
    for (double& x : large) x += 100.0;
    fmt::print("\n2. All logits 100 higher: the formula as printed gives {}, the kernel {:.6f}\n", naive_loss(large, 1),
               loss_and_gradient(large, 1).loss);

    fmt::print("\n3. Through y = softmax(x), the gradient of x is y * (dy - sum(dy * y))\n");
    const Values y = {result.gradient[0], result.gradient[1] + 1.0, result.gradient[2]};
    for (const Values& dy : {Values{1.0, 1.0, 1.0}, Values{0.3, -0.8, 0.5}}) {
        const double mean = dy[0] * y[0] + dy[1] * y[1] + dy[2] * y[2];
        Values dx;
        for (std::size_t v = 0; v < 3; ++v) dx.push_back(std::abs(dy[v] - mean) < 1e-12 ? 0.0 : y[v] * (dy[v] - mean));
        print_row(dy[0] == 1.0 ? "loss = sum(y)" : "loss = random . y", dx);
    }

    const Values first = {3.0, 1.0, 2.0}, second = {8.0};  // losses of the masked tokens of two micro-batches
    fmt::print("\n4. Losses 3, 1, 2 in one micro-batch and 8 in the next: mean of means {}, mean {}\n",
               ((first[0] + first[1] + first[2]) / 3 + second[0]) / 2,
               (first[0] + first[1] + first[2] + second[0]) / 4);

    fmt::print("\n5. A model that knows nothing, 8192 words: loss {:.4f} = log 8192\n",
               loss_and_gradient(Values(8192, 0.0), 0).loss);
}
