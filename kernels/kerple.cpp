#include "kernels/kerple.h"

#include <cmath>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

using std::int64_t;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

/// a and p of one head on one side, and how they move with what is learned.
struct Curve {
    double a, p, a_slope, p_slope;
    bool power;

    Curve(double raw_a, double raw_p, bool power)
        : a(softplus(raw_a)),
          p(power ? 2 * sigmoid(raw_p) : softplus(raw_p)),
          a_slope(sigmoid(raw_a)),
          p_slope(power ? 2 * sigmoid(raw_p) * sigmoid(-raw_p) : sigmoid(raw_p)),
          power(power) {}

    double value(double distance) const { return power ? -a * std::pow(distance, p) : -p * std::log1p(a * distance); }
    double by_a(double distance) const { return power ? -std::pow(distance, p) : -p * distance / (1 + a * distance); }
    double by_p(double distance) const {
        return power ? -a * std::pow(distance, p) * std::log(distance) : -std::log1p(a * distance);
    }
};

[[maybe_unused]] void check(const Kerple& args) {
    const Op op = {"kerple", args.a.device};
    const Shape& shape = args.a.shape;
    LOCUS_CHECK(shape.rank() == 2 && (shape[0] == 1 || shape[0] == 2), op.name,
                "A is " + shape.to_string() + ", expected [1 or 2, heads]");
    LOCUS_CHECK(args.bias.shape.rank() == 2 && args.bias.shape[1] % 2 == 1, op.name,
                "bias is " + args.bias.shape.to_string() + ", expected [heads, 2 reach + 1]");
    check_contiguous(op, "A", args.a, shape);
    check_contiguous(op, "P", args.p, shape);
    check_contiguous(op, "bias", args.bias, {shape[1], args.bias.shape[1]});
    check_dtype(op, "P", args.p, args.a.dtype);
    check_dtype(op, "bias", args.bias, args.a.dtype);
    if (args.da) check_contiguous(op, "dA", args.da, shape);
    if (args.dp) check_contiguous(op, "dP", args.dp, shape);
}

/// Calls visit(curve, index of A and P, index of the bias, |r|) for all heads and all distances but 0.
template <class T, class Visit>
void for_each_distance(const Kerple& args, Visit visit) {
    const int64_t sides = args.a.shape[0], heads = args.a.shape[1], reach = args.bias.shape[1] / 2;
    for (int64_t head = 0; head < heads; ++head) {
        for (int64_t side = 0; side < 2; ++side) {
            const int64_t at = (side < sides ? side : 0) * heads + head;
            const Curve curve(args.a.as<T>()[at], args.p.as<T>()[at], args.power);
            const int64_t zero = head * (2 * reach + 1) + reach;
            for (int64_t distance = 1; distance <= reach; ++distance)
                visit(curve, at, side == 0 ? zero + distance : zero - distance, static_cast<double>(distance));
        }
    }
}

}  // namespace

void kerple_forward(const Kerple& args) {
    for_dtype("kerple", args.a.dtype, [&](auto zero) {
        using T = decltype(zero);
        T* const bias = args.bias.as<T>();
        const int64_t reach = args.bias.shape[1] / 2;
        for (int64_t head = 0; head < args.a.shape[1]; ++head) bias[head * (2 * reach + 1) + reach] = T{0};
        for_each_distance<T>(args, [&](const Curve& curve, int64_t, int64_t to, double distance) {
            bias[to] = static_cast<T>(curve.value(distance));
        });
    });
}

void kerple_backward(const Kerple& args) {
    LOCUS_CHECK(args.da && args.dp, "kerple_backward", "dA or dP is absent");
    for_dtype("kerple_backward", args.a.dtype, [&](auto zero) {
        using T = decltype(zero);
        const T* const dbias = args.bias.as<T>();
        for_each_distance<T>(args, [&](const Curve& curve, int64_t at, int64_t from, double distance) {
            const double d = dbias[from];
            args.da.as<T>()[at] += static_cast<T>(d * curve.by_a(distance) * curve.a_slope);
            args.dp.as<T>()[at] += static_cast<T>(d * curve.by_p(distance) * curve.p_slope);
        });
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(kerple_forward, Kerple, a)
LOCUS_KERNEL(kerple_backward, Kerple, a)
