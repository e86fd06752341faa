// One matrix product, from three loops to tile registers, each beside what the processor's multiply-adds can do at most; then what float32 loses when
// it is made of bfloat16 parts. One thread.
// Chapter: docs/learn/02-matrix-product.md

#include <fmt/core.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "docs/learn/examples/bfloat16_parts.h"
#include "kernels/fma_peak.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/random.h"

namespace locus {
namespace {

constexpr std::size_t n = 768;  // the width of BERT base; A, B and C are [n, n]
using Matrix = std::vector<double>;
using Floats = std::vector<float>;

void inner_products(const Matrix& a, const Matrix& b, Matrix& c) {
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) {
            double sum = 0.0;
            for (std::size_t k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}

void rows_of_b(const Matrix& a, const Matrix& b, Matrix& c) {
    std::fill(c.begin(), c.end(), 0.0);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t k = 0; k < n; ++k)
            for (std::size_t j = 0; j < n; ++j) c[i * n + j] += a[i * n + k] * b[k * n + j];
}

/// The same, a block of B at a time: 64 x 256 numbers (128 KB) are used for every row of A while they are near.
void blocks_of_b(const Matrix& a, const Matrix& b, Matrix& c) {
    std::fill(c.begin(), c.end(), 0.0);
    for (std::size_t k0 = 0; k0 < n; k0 += 64)
        for (std::size_t j0 = 0; j0 < n; j0 += 256)
            for (std::size_t i = 0; i < n; ++i)
                for (std::size_t k = k0; k < k0 + 64; ++k)
                    for (std::size_t j = j0; j < j0 + 256; ++j) c[i * n + j] += a[i * n + k] * b[k * n + j];
}

/// A tile of C of 4 x 32 numbers stays in registers for the whole sum over k: no load or store of C in the inner loop.
void tiles_of_c(const Matrix& a, const Matrix& b, Matrix& c) {
    for (std::size_t j0 = 0; j0 < n; j0 += 32)
        for (std::size_t i0 = 0; i0 < n; i0 += 4) {
            double tile[4][32] = {};
            for (std::size_t k = 0; k < n; ++k)
                for (std::size_t i = 0; i < 4; ++i)
                    for (std::size_t j = 0; j < 32; ++j) tile[i][j] += a[(i0 + i) * n + k] * b[k * n + j0 + j];
            for (std::size_t i = 0; i < 4; ++i) std::copy_n(tile[i], 32, c.data() + (i0 + i) * n + j0);
        }
}

Tensor tensor(const Matrix& x) { return Tensor(const_cast<double*>(x.data()), {n, n}, DType::float64); }
Tensor tensor(const Floats& x) { return Tensor(const_cast<float*>(x.data()), {n, n}, DType::float32); }

/// Numbers between -1 and 1, other ones for each word (0 to 3).
Matrix uniform_numbers(std::size_t word) {
    Matrix x(n * n);
    for (std::uint32_t e = 0; e < n * n; ++e) x[e] = 2 * uniform(philox({1, 0}, {e, 0, 0, 0})[word]) - 1;
    return x;
}

double peak() {
    double gflops = 0.0;
    fma_peak({.seconds = 0.05, .gflops = &gflops});
    return gflops;
}

/// Best of three, each between two measurements of the peak; float64 has half the peak of float32.
template <class Product>
void measure(const char* name, double share_of_float32_peak, Product product) {
    double best = 0.0, share = 0.0, before = peak();
    for (int repetition = 0; repetition < 3; ++repetition) {
        const auto start = std::chrono::steady_clock::now();
        product();
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        const double rate = 2e-9 * n * n * n / seconds.count(), after = peak();
        if (rate > best) {
            best = rate;
            share = rate / (share_of_float32_peak * (before + after) / 2);
        }
        before = after;
    }
    fmt::print("{:<34} {:8.2f} {:8.1f} %\n", name, best, 100 * share);
}

void multiply_float64(const Matrix& a, const Matrix& b) {
    Matrix expected(n * n), c(n * n);
    fmt::print("{:<34} {:>8} {:>10}\n", "float64", "GFLOP/s", "of peak");
    measure("i-j-k  inner products", 0.5, [&] { inner_products(a, b, expected); });
    const auto check = [&](const char* name, auto product) {
        measure(name, 0.5, [&] { product(a, b, c); });
        double largest = 0.0;
        for (std::size_t e = 0; e < n * n; ++e) largest = std::max(largest, std::abs(c[e] - expected[e]));
        if (!(largest < 1e-10)) fmt::print("   WRONG: off by {}\n", largest);
    };
    check("i-k-j  rows of B", rows_of_b);
    check("       blocks of B", blocks_of_b);
    check("       tiles of C in registers", tiles_of_c);
    check("kernels/matmul_float64.cpp", [](const Matrix& x, const Matrix& y, Matrix& z) {
        matmul_float64({.a = tensor(x), .b = tensor(y), .c = tensor(z)});
    });
}

/// The products of the program; on this processor either on tile registers or by oneDNN.
void multiply_float32(const Floats& a, const Floats& b, Floats& c, Floats& c_of_bfloat16) {
    fmt::print("float32 by {}\n", isa() == Isa::amx ? "kernels/matmul_amx.cpp" : "kernels/matmul_onednn.cpp");
    measure("matmul()", 1.0, [&] { matmul({.a = tensor(a), .b = tensor(b), .c = tensor(c)}); });
    measure("matmul(), bfloat16 operands", 1.0, [&] {
        matmul({.a = tensor(a), .b = tensor(b), .c = tensor(c_of_bfloat16), .rounding = Rounding::bfloat16});
    });
}

// ---- float32 as three bfloat16 parts ----

std::vector<learn::Parts> split(const Floats& x, std::size_t first, std::size_t stride) {
    std::vector<learn::Parts> parts;
    for (std::size_t k = 0; k < n; ++k) parts.push_back(learn::bfloat16_parts(x[first + k * stride]));
    return parts;
}

float plain_sum(const Floats& a, const Floats& b, std::size_t i, std::size_t j) {
    float sum = 0.0F;
    for (std::size_t k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + j];
    return sum;
}

/// Root mean square error of the first 32 x 32 elements of C against sums in float64, relative to the elements' own root mean square.
template <class Element>
void print_error(const char* name, const Floats& a, const Floats& b, Element element) {
    double errors = 0.0, squares = 0.0;
    for (std::size_t i = 0; i < 32; ++i)
        for (std::size_t j = 0; j < 32; ++j) {
            double exact = 0.0;
            for (std::size_t k = 0; k < n; ++k) exact += static_cast<double>(a[i * n + k]) * b[k * n + j];
            errors += std::pow(element(i, j) - exact, 2);
            squares += exact * exact;
        }
    fmt::print("{:<34} {:8.1e}\n", name, std::sqrt(errors / squares));
}

void print_errors(const Floats& a, const Floats& b, const Floats& c, const Floats& c_of_bfloat16) {
    std::vector<std::vector<learn::Parts>> rows, columns;
    for (std::size_t i = 0; i < 32; ++i) rows.push_back(split(a, i * n, 1));
    for (std::size_t j = 0; j < 32; ++j) columns.push_back(split(b, j, n));
    const auto parts = [&](const char* name, std::size_t count) {
        print_error(name, a, b,
                    [&](std::size_t i, std::size_t j) { return learn::inner_product(rows[i], columns[j], count); });
    };
    fmt::print("\n{:<34} {:>8}\n", "float32 against float64", "error");
    parts("1 bfloat16 part,  1 product", 1);
    parts("2 bfloat16 parts, 3 products", 2);
    parts("3 bfloat16 parts, 6 products", 3);
    print_error("plain loop", a, b, [&](std::size_t i, std::size_t j) { return plain_sum(a, b, i, j); });
    print_error("matmul()", a, b, [&](std::size_t i, std::size_t j) { return c[i * n + j]; });
    print_error("matmul(), bfloat16 operands", a, b,
                [&](std::size_t i, std::size_t j) { return c_of_bfloat16[i * n + j]; });
}

}  // namespace
}  // namespace locus

int main() {
    using namespace locus;
    omp_set_num_threads(1);
    const Matrix a = uniform_numbers(0), b = uniform_numbers(1);
    fmt::print("{} x {} times {} x {}: {:.3f} Gflop, {:.1f} MB of float64. {}, {}, 1 thread\n\n", n, n, n, n,
               2e-9 * n * n * n, 3e-6 * n * n * sizeof(double), processor_name(), name_of(isa()));
    multiply_float64(a, b);
    const Floats a32(a.begin(), a.end()), b32(b.begin(), b.end());
    Floats c(n * n), c_of_bfloat16(n * n);
    multiply_float32(a32, b32, c, c_of_bfloat16);
    print_errors(a32, b32, c, c_of_bfloat16);
}
