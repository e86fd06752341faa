// C = op(A) op(B) on tiles. A tile register holds 16 rows of 64 bytes. One instruction multiplies a tile of A, 16 x 32 numbers in bfloat16, by a tile
// of B, 32 x 16, and adds the result to a tile of 16 x 16 sums in float32: 16,384 flop in 16 cycles, 16 times as many as a core's float32 multiply-adds.
//
// bfloat16   operands are rounded while they are packed: one product of tiles
// float32    has 24 significant bits, a bfloat16 has 8, and so three of them hold a float32 exactly: x = x1 + x2 + x3, x1 = bfloat16(x),
//            x2 = bfloat16(x - x1), x3 = x - x1 - x2. Then
//
//                x w = x1 w1 + (x1 w2 + x2 w1) + (x1 w3 + x2 w2 + x3 w1) + less than 2^-23 |x w|
//
//            The rest, left out, is of the size of float32's own rounding. Six products at 16 times the speed are 2.7 times as fast.
//            Henry, Tang, Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations", 2019.
//            Numbers below 2^-126 count as 0, and so do parts of them: an error below 2^-126 in an operand. Infinity becomes NaN.
//
// Packing    each operand is cut into panels of 32 rows of A or 32 columns of B, in the order in which the products read them:
//                [step of 32 along K][part][2 tiles][16 lines][16 pairs of neighbours along K]
//            A line is 64 bytes: of A one row, 32 numbers along K; of B two neighbours along K for each of 16 columns.
// Blocking   one operand, the one with fewer rows or columns, stays packed in the second-level cache, a chunk of K at a time; blocks of the other are packed by the
//            thread that multiplies them.
// cost       2 M N K flop as counted by matmul.h, in bfloat16 once, in float32 six times

#include "kernels/matmul_amx.h"

#include "kernels/memory.h"

#if defined(__AMX_BF16__)
#include <immintrin.h>
#include <omp.h>

#include <algorithm>

namespace locus {
namespace {

using std::int64_t;

constexpr int64_t tile_lines = 16, line_bytes = 64, tile_bytes = tile_lines * line_bytes;
constexpr int64_t panel = 2 * tile_lines;  // rows of A or columns of B that a block of C takes
constexpr int64_t step = 32;               // of K: one line of a tile of A
constexpr int64_t still_bytes = int64_t{3} << 19, block_bytes = int64_t{1} << 19,
                  group_bytes = int64_t{1} << 18;  // of a second-level cache of 2 MB

int64_t ceil_div(int64_t n, int64_t unit) { return (n + unit - 1) / unit; }

/// Tiles 0 to 7 of 16 lines of 64 bytes, for the calling thread as long as this object lives.
class TileRegisters {
public:
    TileRegisters() {
        struct alignas(64) Configuration {
            std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
            std::uint16_t line_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            std::uint8_t lines[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } const configuration;
        _tile_loadconfig(&configuration);
    }
    ~TileRegisters() { _tile_release(); }
    TileRegisters(const TileRegisters&) = delete;
    TileRegisters& operator=(const TileRegisters&) = delete;
};

// ---- packing ----

/// A or B: element (o, k), o the row of A or the column of B, stands at data[o * stride + k] if runs_along_k, else at data[k * stride + o].
struct Operand {
    const float* data;
    int64_t stride, extent;  // extent: of o
    bool runs_along_k;
    bool is_b;

    int64_t panels() const { return ceil_div(extent, panel); }
};

/// The first n of 16 floats; 0 for the others.
__m512 load(const float* x, int64_t n) {
    const auto mask = static_cast<__mmask16>(n >= 16 ? 0xFFFF : n <= 0 ? 0 : (1U << n) - 1U);
    return _mm512_maskz_loadu_ps(mask, x);
}

/// The nearest number whose lower half is zero, a bfloat16. What is left of x, x - this, is exact and has 16 bits.
__m512 upper_half(__m512 x) {
    const __m512i bits = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
    return _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U))));
}

/// A line of 16 numbers of `first`, then 16 of `second`; or, in turns, one of each.
template <bool in_turns>
__m512i rounded_line(__m512 first, __m512 second) {
    alignas(64) static constexpr std::uint16_t turns[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                            21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                            11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const auto line = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    return in_turns ? _mm512_permutexvar_epi16(_mm512_load_si512(turns), line) : line;
}

/// The same of numbers that are bfloat16 already.
template <bool in_turns>
__m512i exact_line(__m512 first, __m512 second) {
    if constexpr (in_turns)
        return _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(first), 16), _mm512_castps_si512(second));
    return rounded_line<false>(first, second);
}

/// The line of the tile of each part.
template <int parts, bool in_turns>
void store_line(__m512 first, __m512 second, char* to) {
    if constexpr (parts == 1) return _mm512_store_si512(to, rounded_line<in_turns>(first, second));
    for (int part = 0; part < parts; ++part) {
        const bool last = part + 1 == parts;  // then at most 8 bits are left: nothing to round
        const __m512 upper_first = last ? first : upper_half(first), upper_second = last ? second : upper_half(second);
        _mm512_store_si512(to + part * 2 * tile_bytes, exact_line<in_turns>(upper_first, upper_second));
        first = _mm512_sub_ps(first, upper_first);
        second = _mm512_sub_ps(second, upper_second);
    }
}

/// Lines become columns, in pairs of bfloat16: 16 x 16 numbers of 32 bits, in four rounds of exchanges at the distances 1, 2, 4, 8.
void transpose_tile(char* tile) {
    __m512i from[16], to[16];
    for (int64_t n = 0; n < 16; ++n) from[n] = _mm512_load_si512(tile + n * line_bytes);
    for (int64_t n = 0; n < 16; n += 2) {
        to[n] = _mm512_unpacklo_epi32(from[n], from[n + 1]);
        to[n + 1] = _mm512_unpackhi_epi32(from[n], from[n + 1]);
    }
    for (int64_t n = 0; n < 16; n += 4) {
        from[n] = _mm512_unpacklo_epi64(to[n], to[n + 2]);
        from[n + 1] = _mm512_unpackhi_epi64(to[n], to[n + 2]);
        from[n + 2] = _mm512_unpacklo_epi64(to[n + 1], to[n + 3]);
        from[n + 3] = _mm512_unpackhi_epi64(to[n + 1], to[n + 3]);
    }
    for (int64_t n = 0; n < 16; n += 8) {
        for (int64_t i = n; i < n + 4; ++i) {
            to[i] = _mm512_shuffle_i32x4(from[i], from[i + 4], 0x88);
            to[i + 4] = _mm512_shuffle_i32x4(from[i], from[i + 4], 0xDD);
        }
    }
    for (int64_t n = 0; n < 8; ++n) {
        _mm512_store_si512(tile + n * line_bytes, _mm512_shuffle_i32x4(to[n], to[n + 8], 0x88));
        _mm512_store_si512(tile + (n + 8) * line_bytes, _mm512_shuffle_i32x4(to[n], to[n + 8], 0xDD));
    }
}

/// Where packed panels lie: each takes bytes_per_panel, and a step of it step_bytes, a pair of tiles for each part.
struct Packed {
    char* data;
    int64_t bytes_per_panel, step_bytes;

    /// The tile of the first part that holds row or column o at the step.
    char* tile(int64_t o, int64_t step) const {
        return data + o / panel * bytes_per_panel + step * step_bytes + o % panel / tile_lines * tile_bytes;
    }
};

/// A number of panels from the row or column `begin` on, `depth` numbers of K from k on; filled up with zeros. The rows of the source are read from end to end, because
/// memory is fast only in order.
template <int parts>
void pack_along_k(const Operand& x, int64_t begin, int64_t panels, int64_t k, int64_t depth, const Packed& to) {
    const int64_t steps = ceil_div(depth, step);
    for (int64_t o = 0; o < panels * panel; ++o) {
        const float* const row = x.data + (begin + o) * x.stride + k;
        const int64_t length = begin + o < x.extent ? depth : 0;
        for (int64_t n = 0; n < steps; ++n) {
            const int64_t left = length - n * step;
            store_line<parts, false>(load(row + n * step, left), load(row + n * step + 16, left - 16),
                                     to.tile(o, n) + o % tile_lines * line_bytes);
        }
        if (!x.is_b || o % tile_lines != tile_lines - 1) continue;
        for (int64_t n = 0; n < steps; ++n)
            for (int64_t part = 0; part < parts; ++part) transpose_tile(to.tile(o, n) + part * 2 * tile_bytes);
    }
}

template <int parts>
void pack_across_k(const Operand& x, int64_t begin, int64_t panels, int64_t k, int64_t depth, const Packed& to) {
    for (int64_t n = 0; n < ceil_div(depth, step); ++n) {
        for (int64_t line = 0; line < tile_lines; ++line) {
            const int64_t pair = n * step + 2 * line;
            const float* const first = x.data + (k + pair) * x.stride + begin;
            const int64_t left = pair < depth ? x.extent - begin : 0, left_second = pair + 1 < depth ? left : 0;
            for (int64_t o = 0; o < panels * panel; o += tile_lines) {
                __builtin_prefetch(first + 16 * x.stride + o);
                __builtin_prefetch(first + 17 * x.stride + o);
                store_line<parts, true>(load(first + o, left - o), load(first + x.stride + o, left_second - o),
                                        to.tile(o, n) + line * line_bytes);
            }
        }
        for (int64_t o = 0; !x.is_b && o < panels * panel; o += tile_lines)
            for (int64_t part = 0; part < parts; ++part) transpose_tile(to.tile(o, n) + part * 2 * tile_bytes);
    }
}

template <int parts>
void pack(const Operand& x, int64_t begin, int64_t panels, int64_t k, int64_t depth, const Packed& to) {
    x.runs_along_k ? pack_along_k<parts>(x, begin, panels, k, depth, to)
                   : pack_across_k<parts>(x, begin, panels, k, depth, to);
}

// ---- products ----

/// Eight instructions that do nothing. While the other hyperthread of a core is busy, tiles are loaded only after the products before them; with room between
/// the products, beside them: half as fast again (docs/performance.md).
void leave_room() { __asm__ volatile(".rept 8\n nop\n .endr"); }

/// Of a panel of A and a panel of B, one part of each: tiles 0 to 3 += (tiles 4, 5) (tiles 6, 7).
void multiply_tiles() {
    _tile_dpbf16ps(0, 4, 6);
    leave_room();
    _tile_dpbf16ps(1, 4, 7);
    leave_room();
    _tile_dpbf16ps(2, 5, 6);
    leave_room();
    _tile_dpbf16ps(3, 5, 7);
    leave_room();
}
void load_a(const char* a, int64_t part) {
    _tile_loadd(4, a + part * 2 * tile_bytes, line_bytes);
    _tile_loadd(5, a + part * 2 * tile_bytes + tile_bytes, line_bytes);
}
void load_b(const char* b, int64_t part) {
    _tile_loadd(6, b + part * 2 * tile_bytes, line_bytes);
    _tile_loadd(7, b + part * 2 * tile_bytes + tile_bytes, line_bytes);
}

/// One step of 32 along K. In float32 each product but the first shares an operand with the one before it: seven pairs of loads for six products.
template <int parts>
void multiply_step(const char* a, const char* b) {
    if constexpr (parts == 1) {
        load_a(a, 0), load_b(b, 0), multiply_tiles();
    } else {
        load_a(a, 0), load_b(b, 2), multiply_tiles();
        load_b(b, 1), multiply_tiles();
        load_a(a, 1), multiply_tiles();
        load_b(b, 0), multiply_tiles();
        load_a(a, 2), multiply_tiles();
        load_a(a, 0), multiply_tiles();
    }
}

/// Where the sums of a block of C begin, and where they go.
struct Sums {
    const float* start;  // null: zero
    int64_t start_stride;
    float* c;
    int64_t c_stride;
};

/// A block of 32 x 32 of C.
template <int parts>
void multiply_panels(const char* a, const char* b, int64_t steps, const Sums& sums) {
    if (sums.start == nullptr) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        const int64_t stride = sums.start_stride;
        const float* const lower = sums.start + tile_lines * stride;
        _tile_loadd(0, sums.start, stride * 4);
        _tile_loadd(1, sums.start + tile_lines, stride * 4);
        _tile_loadd(2, lower, stride * 4);
        _tile_loadd(3, lower + tile_lines, stride * 4);
    }
    for (int64_t n = 0; n < steps; ++n, a += parts * 2 * tile_bytes, b += parts * 2 * tile_bytes)
        multiply_step<parts>(a, b);
    float* const lower = sums.c + tile_lines * sums.c_stride;
    _tile_stored(0, sums.c, sums.c_stride * 4);
    _tile_stored(1, sums.c + tile_lines, sums.c_stride * 4);
    _tile_stored(2, lower, sums.c_stride * 4);
    _tile_stored(3, lower + tile_lines, sums.c_stride * 4);
}

/// What the threads share.
struct Product {
    Operand a, b;
    float* c;
    int64_t c_stride;
    const float* bias;
    bool accumulate;
    int64_t depth;  // of K

    /// The block of C of a panel of A and one of B, after a chunk of K.
    template <int parts>
    void block(int64_t row, int64_t column, const char* packed_a, const char* packed_b, int64_t k,
               int64_t count) const {
        float* const to = c + row * c_stride + column;
        const int64_t rows = a.extent - row, columns = b.extent - column;
        const bool adds = k > 0 || accumulate;
        Sums sums = {adds ? to : bias != nullptr ? bias + column : nullptr, adds ? c_stride : 0, to, c_stride};
        for (int64_t r = 0; r < panel && rows > panel; ++r) {
            __builtin_prefetch(to + panel + r * c_stride, 1);
            __builtin_prefetch(to + panel + 16 + r * c_stride, 1);
        }
        if (rows >= panel && columns >= panel)
            return multiply_panels<parts>(packed_a, packed_b, ceil_div(count, step), sums);
        alignas(64) float edge[panel * panel] = {};
        copy(sums.start, sums.start_stride, edge, panel, rows, columns);
        multiply_panels<parts>(packed_a, packed_b, ceil_div(count, step), {edge, panel, edge, panel});
        copy(edge, panel, to, c_stride, rows, columns);
    }
    /// Blocks of C one after the other along its rows.
    template <int parts>
    void rows_times_columns(const Packed& packed_a, int64_t first_row, int64_t rows, const Packed& packed_b,
                            int64_t first_column, int64_t columns, int64_t k, int64_t count) const {
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t n = 0; n < columns; ++n)
                block<parts>((first_row + r) * panel, (first_column + n) * panel,
                             packed_a.data + r * packed_a.bytes_per_panel, packed_b.data + n * packed_b.bytes_per_panel,
                             k, count);
    }
    static void copy(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t rows,
                     int64_t columns) {
        if (from == nullptr) return;
        for (int64_t r = 0; r < (rows < panel ? rows : panel); ++r)
            for (int64_t n = 0; n < (columns < panel ? columns : panel); ++n)
                to[r * to_stride + n] = from[r * from_stride + n];
    }
};

/// Scratch memory grows and is kept: a training step asks for the same sizes again and again.
char* grown(Buffer& buffer, int64_t bytes) {
    if (static_cast<int64_t>(buffer.bytes()) < bytes) {
        buffer = Buffer();
        buffer = Buffer(static_cast<std::size_t>(bytes));
    }
    return static_cast<char*>(buffer.data());
}

/// Sizes of the blocks.
struct Plan {
    const Operand &still, &moving;
    int64_t chunk, panel_bytes;  // of K; of a packed panel of a chunk
    int64_t block, blocks,
        group;  // panels that move, number of such blocks, and panels of the other operand beside them in the second-level cache

    Plan(const Product& product, int64_t parts)
        : still(product.a.extent >= product.b.extent ? product.b : product.a),
          moving(&still == &product.a ? product.b : product.a) {
        const int64_t line = panel * 2 * parts;  // bytes of a packed panel for each k
        chunk = std::min(std::clamp<int64_t>(still_bytes / (still.panels() * line) / step * step, 256, 512),
                         ceil_div(product.depth, step) * step);
        panel_bytes = chunk * line;
        const int64_t threads = omp_get_max_threads();
        const int64_t most_in_block = std::max<int64_t>(1, block_bytes / panel_bytes);
        blocks = ceil_div(ceil_div(moving.panels(), most_in_block), threads) * threads;
        block = ceil_div(moving.panels(), blocks);
        group = std::max<int64_t>(1, group_bytes / panel_bytes);
    }
};

template <int parts>
void multiply(const Product& product) {
    const Plan plan(product, parts);
    const int64_t panel_bytes = plan.panel_bytes, step_bytes = parts * 2 * tile_bytes;
    static Buffer scratch;
    char* const packed_still = grown(scratch, (plan.still.panels() + omp_get_max_threads() * plan.block) * panel_bytes);
    char* const packed_moving = packed_still + plan.still.panels() * panel_bytes;
    for (int64_t k = 0; k < product.depth; k += plan.chunk) {
        const int64_t count = std::min(plan.chunk, product.depth - k);
#pragma omp parallel
        {
            const TileRegisters registers;
            const int64_t share = ceil_div(plan.still.panels(), omp_get_num_threads());
            const int64_t from = std::min(omp_get_thread_num() * share, plan.still.panels());
            const int64_t to = std::min(from + share, plan.still.panels());
            pack<parts>(plan.still, from * panel, to - from, k, count,
                        {packed_still + from * panel_bytes, panel_bytes, step_bytes});
            const Packed own = {packed_moving + omp_get_thread_num() * plan.block * panel_bytes, panel_bytes,
                                step_bytes};
#pragma omp barrier
#pragma omp for schedule(dynamic)
            for (int64_t first = 0; first < plan.moving.panels(); first += plan.block) {
                const int64_t panels = std::min(plan.block, plan.moving.panels() - first);
                pack<parts>(plan.moving, first * panel, panels, k, count, own);
                for (int64_t s = 0; s < plan.still.panels(); s += plan.group) {
                    const int64_t beside = std::min(plan.group, plan.still.panels() - s);
                    const Packed group = {packed_still + s * panel_bytes, panel_bytes, step_bytes};
                    if (&plan.moving == &product.a) {
                        product.rows_times_columns<parts>(own, first, panels, group, s, beside, k, count);
                    } else {
                        product.rows_times_columns<parts>(group, s, beside, own, first, panels, k, count);
                    }
                }
            }
        }
    }
}

/// The operand whose element (o, k) stands at data[o * o_stride + k * k_stride].
Operand operand(const float* data, int64_t o_stride, int64_t k_stride, int64_t extent, bool is_b) {
    LOCUS_CHECK(o_stride == 1 || k_stride == 1, "tile_product", "rows or columns must be contiguous");
    return {data, k_stride == 1 ? o_stride : k_stride, extent, k_stride == 1, is_b};
}

}  // namespace

void tile_product(const TileProduct& args) {
    static thread_local Buffer scratch_of_thread;
    const Product product = {operand(args.a, args.a_row, args.a_column, args.m, false),
                             operand(args.b, args.b_column, args.b_row, args.n, true),
                             args.c,
                             args.c_row,
                             nullptr,
                             args.add,
                             args.k};
    const int64_t step_bytes = 2 * tile_bytes, panel_bytes = ceil_div(args.k, step) * step_bytes;
    char* const packed_a = grown(scratch_of_thread, (product.a.panels() + product.b.panels()) * panel_bytes);
    const Packed a = {packed_a, panel_bytes, step_bytes};
    const Packed b = {packed_a + product.a.panels() * panel_bytes, panel_bytes, step_bytes};
    const TileRegisters registers;
    pack<1>(product.a, 0, product.a.panels(), 0, args.k, a);
    pack<1>(product.b, 0, product.b.panels(), 0, args.k, b);
    product.rows_times_columns<1>(a, 0, product.a.panels(), b, 0, product.b.panels(), 0, args.k);
}

void matmul_amx(const Matmul& args) {
    const bool bias_too = args.accumulate && args.bias;
    const Tensor& c = args.c;
    const auto row_stride = [](const Tensor& x) { return x.strides[0]; };
    for (int64_t row = 0; bias_too && row < c.shape[0]; ++row)
        for (int64_t column = 0; column < c.shape[1]; ++column)
            c.as<float>()[row * c.strides[0] + column] += args.bias.as<float>()[column];
    const Product product = {
        {args.a.as<float>(), row_stride(args.a), c.shape[0], !args.transpose_a, false},
        {args.b.as<float>(), row_stride(args.b), c.shape[1], args.transpose_b, true},
        c.as<float>(),
        row_stride(c),
        args.bias ? args.bias.as<float>() : nullptr,
        args.accumulate,
        args.a.shape[args.transpose_a ? 0 : 1],
    };
    args.rounding == Rounding::bfloat16 ? multiply<1>(product) : multiply<3>(product);
}

}  // namespace locus

#else

#include <stdexcept>

namespace locus {

// The compiler or the processor family has no tiles; isa() never says so then.
void matmul_amx(const Matmul&) { throw std::logic_error("[matmul_amx] compiled without AMX"); }
void tile_product(const TileProduct&) { throw std::logic_error("[tile_product] compiled without AMX"); }

}  // namespace locus
#endif
