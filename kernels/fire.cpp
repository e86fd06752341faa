#include "kernels/fire.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

using std::int64_t;

int64_t reach_of(const FireDistances& args) { return args.x.shape[0] / 2; }

double sign(double x) { return x < 0 ? -1 : 1; }

/// psi and the normaliser of the header.
struct Scale {
    double c, threshold, longest, normaliser;
    bool at_threshold;

    Scale(const FireDistances& args, double raw_c, double raw_t)
        : c(args.slope * raw_c),
          threshold(std::abs(args.threshold * raw_t)),
          longest(std::max(static_cast<double>(reach_of(args)), threshold)),
          normaliser(psi(longest) + 1e-6),
          at_threshold(longest == threshold) {}

    double psi(double s) const { return std::log1p(std::abs(c) * s); }
    double psi_by_c(double s) const { return sign(c) * s / (1 + std::abs(c) * s); }
};

[[maybe_unused]] void check(const FireDistances& args) {
    const Op op = {"fire_distances", args.x.device};
    check_contiguous(op, "C", args.c, {1});
    check_contiguous(op, "T", args.t, {1});
    LOCUS_CHECK(args.x.shape.rank() == 1 && args.x.shape[0] % 2 == 1, op.name,
                "x is " + args.x.shape.to_string() + ", expected [2 longest - 1]");
    check_contiguous(op, "x", args.x, args.x.shape);
    check_dtype(op, "x", args.x, args.c.dtype);
    if (args.dc) check_contiguous(op, "dC", args.dc, {1});
    if (args.dt) check_contiguous(op, "dT", args.dt, {1});
}

double side(const FireDistances& args, int64_t r) { return args.is_signed && r > 0 ? -1 : 1; }

}  // namespace

void fire_distances_forward(const FireDistances& args) {
    for_dtype("fire_distances", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const Scale scale(args, args.c.as<T>()[0], args.t.as<T>()[0]);
        const int64_t reach = reach_of(args);
        for (int64_t r = -reach; r <= reach; ++r) {
            const double distance = static_cast<double>(std::abs(r));
            args.x.as<T>()[r + reach] = static_cast<T>(side(args, r) * scale.psi(distance) / scale.normaliser);
        }
    });
}

void fire_distances_backward(const FireDistances& args) {
    LOCUS_CHECK(args.dc && args.dt, "fire_distances_backward", "dC or dT is absent");
    for_dtype("fire_distances_backward", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const Scale scale(args, args.c.as<T>()[0], args.t.as<T>()[0]);
        const int64_t reach = reach_of(args);
        const double n = scale.normaliser, by_longest = std::abs(scale.c) / (1 + std::abs(scale.c) * scale.longest);
        double dc = 0, dlongest = 0;
        for (int64_t r = -reach; r <= reach; ++r) {
            const double s = static_cast<double>(std::abs(r)), dx = side(args, r) * args.x.as<T>()[r + reach];
            dc += dx * (scale.psi_by_c(s) * n - scale.psi(s) * scale.psi_by_c(scale.longest)) / (n * n);
            dlongest -= dx * scale.psi(s) / (n * n) * by_longest;
        }
        args.dc.as<T>()[0] += static_cast<T>(args.slope * dc);
        if (!scale.at_threshold) return;
        const double t_sign = sign(args.threshold * static_cast<double>(args.t.as<T>()[0]));
        args.dt.as<T>()[0] += static_cast<T>(args.threshold * t_sign * dlongest);
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(fire_distances_forward, FireDistances, x)
LOCUS_KERNEL(fire_distances_backward, FireDistances, x)
