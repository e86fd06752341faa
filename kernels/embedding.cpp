// Rows of a table. The backward pass brings the rows of each entry together by a stable counting sort, so that each entry's gradient is one
// thread's sum in row order: no atomics, and no dependence on the number of threads.

#include "kernels/embedding.h"

#include <algorithm>
#include <string>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

const std::int32_t* check_ids(const Tensor& ids, std::int64_t rows, std::int64_t entries) {
    const auto* id = ids.as<std::int32_t>();
    for (std::int64_t r = 0; r < rows; ++r) {
        if (id[r] < 0 || id[r] >= entries) {
            throw std::out_of_range("[embedding] id " + std::to_string(id[r]) + " in row " + std::to_string(r) +
                                    " is outside [0, " + std::to_string(entries) + ")");
        }
    }
    return id;
}

const double* weights_or_null(const Tensor& weights) { return weights ? weights.as<double>() : nullptr; }

template <class T>
void forward(const EmbeddingForward& args, const std::int32_t* id, std::int64_t rows, std::int64_t columns) {
    const T* const table = args.table.as<T>();
    const double* const weights = weights_or_null(args.weights);
    T* const y = args.y.as<T>();
    const T keep = args.accumulate ? T{1} : T{0};
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
        const T* const from = table + id[r] * columns;
        T* const to = y + r * columns;
        const T weight = weights == nullptr ? T{1} : static_cast<T>(weights[r]);
        if (keep == T{0}) {  // NOLINT(bugprone-branch-clone): apart, because y may hold anything, NaN included
#pragma omp simd
            for (std::int64_t c = 0; c < columns; ++c) to[c] = weight * from[c];
        } else {
#pragma omp simd
            for (std::int64_t c = 0; c < columns; ++c) to[c] += weight * from[c];
        }
    }
}

// The rows sorted by id, equal ids in row order, and the segment of each id that occurs.
struct Segments {
    std::int32_t* rows;     // [rows]
    std::int32_t* entries;  // [count], the ids that occur
    std::int32_t* begins;   // [count + 1], into rows
    std::int64_t count = 0;
};

Segments sort_by_id(const std::int32_t* id, std::int64_t rows, std::int64_t entries, std::int32_t* scratch) {
    std::int32_t* const place = scratch;  // [entries]: first the number of rows, then where the next one goes
    Segments segments = {scratch + entries, scratch + entries + rows, scratch + entries + 2 * rows};
    std::fill(place, place + entries, 0);
    for (std::int64_t r = 0; r < rows; ++r) ++place[id[r]];
    std::int32_t begin = 0;
    for (std::int64_t entry = 0; entry < entries; ++entry) {
        const std::int32_t length = place[entry];
        place[entry] = begin;
        if (length == 0) continue;
        segments.entries[segments.count] = static_cast<std::int32_t>(entry);
        segments.begins[segments.count++] = begin;
        begin += length;
    }
    segments.begins[segments.count] = begin;
    for (std::int64_t r = 0; r < rows; ++r) segments.rows[place[id[r]]++] = static_cast<std::int32_t>(r);
    return segments;
}

// A task is an entry and a range of columns: a table of two token types, each with half of the rows, still occupies every thread.
template <class T>
void backward(const EmbeddingBackward& args, const Segments& segments, std::int64_t columns) {
    constexpr std::int64_t chunk = 128;  // columns
    const T* const dy = args.dy.as<T>();
    const double* const weights = weights_or_null(args.weights);
    T* const dtable = args.dtable.as<T>();
    const std::int64_t chunks = (columns + chunk - 1) / chunk;
#pragma omp parallel for schedule(dynamic, 8)
    for (std::int64_t task = 0; task < segments.count * chunks; ++task) {
        const std::int64_t segment = task / chunks, begin = task % chunks * chunk;
        const std::int64_t count = std::min(chunk, columns - begin);
        const std::int32_t entry = segments.entries[segment];
        if (entry == args.skip_entry) continue;
        T* const to = dtable + entry * columns + begin;
        for (std::int32_t i = segments.begins[segment]; i < segments.begins[segment + 1]; ++i) {
            const std::int64_t row = segments.rows[i];
            const T* const from = dy + row * columns + begin;
            const T weight = weights == nullptr ? T{1} : static_cast<T>(weights[row]);
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) to[c] += weight * from[c];
        }
    }
}

[[maybe_unused]] void check(const EmbeddingForward& args) {
    const Op op = {"embedding", args.table.device};
    const Shape table = matrix_shape(op, "table", args.table), y = matrix_shape(op, "y", args.y);
    check_contiguous(op, "table", args.table, table);
    check_contiguous(op, "y", args.y, {y[0], table[1]});
    check_contiguous(op, "ids", args.ids, {y[0]});
    if (args.weights) check_contiguous(op, "weights", args.weights, {y[0]});
}

[[maybe_unused]] void check(const EmbeddingBackward& args) {
    const Op op = {"embedding", args.dy.device};
    const Shape dtable = matrix_shape(op, "dtable", args.dtable), dy = matrix_shape(op, "dy", args.dy);
    check_contiguous(op, "dtable", args.dtable, dtable);
    check_contiguous(op, "dy", args.dy, {dy[0], dtable[1]});
    check_contiguous(op, "ids", args.ids, {dy[0]});
    if (args.weights) check_contiguous(op, "weights", args.weights, {dy[0]});
    LOCUS_CHECK(args.arena != nullptr, op.name, "the backward pass needs an arena");
    LOCUS_CHECK(
        args.arena->device() == op.device, op.name,
        std::string("the arena is memory of ") + name_of(args.arena->device()) + ", dy lies on " + name_of(op.device));
}

}  // namespace

void embedding_forward(const EmbeddingForward& args) {
    const Shape y = args.y.shape;
    const std::int32_t* const id = check_ids(args.ids, y[0], args.table.shape[0]);
    for_dtype("embedding", args.table.dtype, [&](auto zero) { forward<decltype(zero)>(args, id, y[0], y[1]); });
}

void embedding_backward(const EmbeddingBackward& args) {
    const Shape dtable = args.dtable.shape, dy = args.dy.shape;
    const std::int32_t* const id = check_ids(args.ids, dy[0], dtable[0]);
    const std::int64_t scratch_count = dtable[0] + 3 * dy[0] + 1;
    void* const scratch = args.arena->take(static_cast<std::size_t>(scratch_count) * sizeof(std::int32_t));
    const Segments segments = sort_by_id(id, dy[0], dtable[0], static_cast<std::int32_t*>(scratch));
    for_dtype("embedding", args.dy.dtype, [&](auto zero) { backward<decltype(zero)>(args, segments, dtable[1]); });
    args.arena->give_back(scratch);
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(embedding_forward, EmbeddingForward, table)
LOCUS_KERNEL(embedding_backward, EmbeddingBackward, dy)
