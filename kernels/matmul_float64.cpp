// The matrix product to read. C is cut into tiles of 4 x 16 elements; a tile is held in registers while k runs once over the rows of
// op(A) and the columns of op(B):
//
//     for each tile of C:  tile = 0;  for each k:  tile[i][j] += A[i, k] * B[k, j];  then C = tile (+ C) (+ bias)
//
// That is all of the reuse: each loaded element of A serves 16 products and each of B four. A fast product adds to it that
// A and B are first copied into the order in which they are read (packing), which makes every load contiguous whatever the transposition.
// Here a transposition only swaps two strides. One tile is one thread's and k runs upwards, so the bits do not depend on the threads.

#include <algorithm>
#include <string>

#include "kernels/isa.h"
#include "kernels/matmul.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr int tile_rows = 4, tile_columns = 16;

// Element (i, k) is at data[i * row + k * column].
struct Operand {
    const double* data;
    std::int64_t row, column;
};

Operand operand(const Tensor& tensor, bool transposed) {
    return transposed ? Operand{tensor.as<double>(), 1, tensor.strides[0]}
                      : Operand{tensor.as<double>(), tensor.strides[0], 1};
}

using Tile = double[tile_rows][tile_columns];

void multiply_full(Operand a, Operand b, std::int64_t depth, Tile& tile) {
    for (std::int64_t k = 0; k < depth; ++k) {
        const double* const b_row = b.data + k * b.row;
        for (int i = 0; i < tile_rows; ++i) {
            const double a_element = a.data[i * a.row + k * a.column];
#pragma omp simd
            for (int j = 0; j < tile_columns; ++j) tile[i][j] += a_element * b_row[j * b.column];
        }
    }
}

// The same for a tile that the edge of C cuts.
void multiply_part(Operand a, Operand b, std::int64_t depth, int rows, int columns, Tile& tile) {
    for (std::int64_t k = 0; k < depth; ++k) {
        for (int i = 0; i < rows; ++i) {
            const double a_element = a.data[i * a.row + k * a.column];
            for (int j = 0; j < columns; ++j) tile[i][j] += a_element * b.data[k * b.row + j * b.column];
        }
    }
}

}  // namespace

void matmul_float64(const Matmul& args) {
    const std::int64_t m = args.c.shape[0], n = args.c.shape[1], depth = args.a.shape[args.transpose_a ? 0 : 1];
    const std::int64_t stride = args.c.strides[0];
    const Operand a = operand(args.a, args.transpose_a), b = operand(args.b, args.transpose_b);
    const double* const bias = args.bias ? args.bias.as<double>() : nullptr;
    double* const c = args.c.as<double>();
#pragma omp parallel for collapse(2) schedule(static)
    for (std::int64_t row = 0; row < m; row += tile_rows) {
        for (std::int64_t column = 0; column < n; column += tile_columns) {
            const int rows = static_cast<int>(std::min<std::int64_t>(tile_rows, m - row));
            const int columns = static_cast<int>(std::min<std::int64_t>(tile_columns, n - column));
            const Operand a_tile = {a.data + row * a.row, a.row, a.column};
            const Operand b_tile = {b.data + column * b.column, b.row, b.column};
            Tile tile = {};
            if (rows == tile_rows && columns == tile_columns)
                multiply_full(a_tile, b_tile, depth, tile);
            else
                multiply_part(a_tile, b_tile, depth, rows, columns, tile);
            for (int i = 0; i < rows; ++i) {
                double* const c_row = c + (row + i) * stride + column;
                for (int j = 0; j < columns; ++j) {
                    const double before =
                        (args.accumulate ? c_row[j] : 0.0) + (bias == nullptr ? 0.0 : bias[column + j]);
                    c_row[j] = before + tile[i][j];
                }
            }
        }
    }
}

}  // namespace locus::LOCUS_TARGET

LOCUS_CPU_KERNEL(matmul_float64, Matmul)
