// Rows of a table on a GPU. Forward: a thread for each eight elements. Backward: the row numbers are sorted by id, so that the rows of each entry lie
// together, in row order; then the sorted rows are cut into chunks of 32, whatever their ids, and a thread for each column walks over each chunk:
//
//     sorted ids     3 3 3 5 | 5 5 5 5 | 5 7 8 8        (chunks of 4)
//     begun here     3     5               7 8          added to dtable at once: a run of equal ids begins in one chunk only
//     carried                  5         5              a sum per chunk for the run that an earlier chunk began; added to dtable afterwards, in order
//
// An entry that has half of the rows (a token type) keeps as many threads at work as thousands that have a few.
//
// bytes    forward reads the table's rows and writes y; backward reads dy once, and reads and writes the rows of dtable that occur; carried sums are
//          1/32 of dy, keys and row numbers 8 bytes per row and pass of the sort. 2 flop per element: memory bound

#include "kernels/embedding.h"

#include "kernels/gpu_sort.h"
#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {
namespace {

__device__ float weight_of(const double* weights, std::int64_t row) {
    return weights == nullptr ? 1.0F : static_cast<float>(weights[row]);
}

template <class T>
struct Forward {
    const float* table;
    const std::int32_t* ids;
    const double* weights;  // or nullptr
    T* y;
    bool accumulate;
    std::int64_t rows, entries, columns;
    int* faults;
};

template <int N, class T>
__global__ void embedding_forward_kernel(Forward<T> f) {
    const Place at = place_of<N>(f.columns);
    if (at.row >= f.rows) return;
    const std::int64_t id = f.ids[at.row];
    if (id < 0 || id >= f.entries) return raise(f.faults, Fault::embedding_id);
    const float weight = weight_of(f.weights, at.row);
    const Several<N> entry = load_several<N>(f.table + id * f.columns + at.column);
    T* const to = f.y + at.row * f.columns + at.column;
    Several<N> sum = f.accumulate ? load_several<N>(to) : Several<N>{};
    for (int n = 0; n < N; ++n) sum.of[n] += weight * entry.of[n];
    store_several(to, sum);
}

template <class T>
void forward(const EmbeddingForward& args) {
    const Forward<T> f = {.table = args.table.as<float>(),
                          .ids = args.ids.as<std::int32_t>(),
                          .weights = args.weights ? args.weights.as<double>() : nullptr,
                          .y = args.y.as<T>(),
                          .accumulate = args.accumulate,
                          .rows = args.y.shape[0],
                          .entries = args.table.shape[0],
                          .columns = args.table.shape[1],
                          .faults = faults()};
    for_width({args.table, args.y}, [&](auto width) {
        launch(one_thread_for<width>("embedding", f.rows, f.columns), embedding_forward_kernel<width, T>, f);
    });
}

// The key of a row is its id. Rows that go nowhere, because their entry gets no gradient or does not exist, have the key `entries`: they end up behind
// all others.
__global__ void key_kernel(const std::int32_t* ids, std::int64_t rows, std::int64_t entries, std::int64_t skip_entry,
                           KeyedRows to, int* faults) {
    const std::int64_t row = index_in_grid();
    if (row >= rows) return;
    const std::int64_t id = ids[row];
    const bool exists = id >= 0 && id < entries;
    if (!exists) raise(faults, Fault::embedding_id);
    to.keys[row] = static_cast<std::int32_t>(exists && id != skip_entry ? id : entries);
    to.rows[row] = static_cast<std::int32_t>(row);
}

constexpr std::int64_t rows_per_chunk = 32;

template <class T>
struct Backward {
    const T* dy;
    const double* weights;  // or nullptr
    KeyedRows sorted;
    std::int64_t rows, columns, entries;
    float* carried;  // [chunks, columns]
    float* dtable;

    __device__ bool goes_on_at(std::int64_t i) const {  // the run of equal keys that holds row i - 1 of the sorted ones
        return i > 0 && i < rows && sorted.keys[i] == sorted.keys[i - 1];
    }
};

// A block for each chunk and some columns.
template <class T>
__global__ void sum_chunks_kernel(Backward<T> b) {
    const std::int64_t chunk = blockIdx.x, c = static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
    if (c >= b.columns) return;
    std::int64_t i = chunk * rows_per_chunk;
    const std::int64_t end = i + rows_per_chunk < b.rows ? i + rows_per_chunk : b.rows;
    while (i < end && b.sorted.keys[i] < b.entries) {
        const std::int64_t entry = b.sorted.keys[i];
        const bool begun_earlier = b.goes_on_at(i);
        float sum = 0;
        do {
            const std::int64_t row = b.sorted.rows[i];
            sum += weight_of(b.weights, row) * load(b.dy + row * b.columns + c);
            ++i;
        } while (i < end && b.sorted.keys[i] == entry);
        if (begun_earlier) {
            b.carried[chunk * b.columns + c] = sum;
        } else {
            b.dtable[entry * b.columns + c] += sum;
        }
    }
}

// The same blocks: each looks whether the last run that its chunk began goes on in later ones.
template <class T>
__global__ void add_carried_kernel(Backward<T> b) {
    const std::int64_t chunk = blockIdx.x, c = static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
    const std::int64_t begin = chunk * rows_per_chunk, end = begin + rows_per_chunk;
    if (c >= b.columns || !b.goes_on_at(end)) return;
    const std::int64_t entry = b.sorted.keys[end];
    const bool begun_earlier = begin > 0 && b.sorted.keys[begin - 1] == entry;
    if (begun_earlier || entry == b.entries) return;
    float sum = 0;
    for (std::int64_t i = end; i < b.rows && b.sorted.keys[i] == entry; i += rows_per_chunk)
        sum += b.carried[i / rows_per_chunk * b.columns + c];
    b.dtable[entry * b.columns + c] += sum;
}

template <class T>
void backward(const EmbeddingBackward& args) {
    const std::int64_t rows = args.dy.shape[0], columns = args.dy.shape[1], entries = args.dtable.shape[0];
    const std::int64_t chunks = blocks_for(rows, rows_per_chunk), counts = counts_to_sort(rows);
    static_assert(sizeof(float) == sizeof(std::int32_t));
    auto* const memory = static_cast<std::int32_t*>(
        args.arena->take(static_cast<std::size_t>(4 * rows + counts + chunks * columns) * sizeof(std::int32_t)));
    const KeyedRows keyed = {memory, memory + rows}, spare = {memory + 2 * rows, memory + 3 * rows};

    launch(one_thread_each("embedding", rows), key_kernel, args.ids.as<std::int32_t>(), rows, entries,
           std::int64_t{args.skip_entry}, keyed, faults());
    const KeyedRows sorted = sort_by_key("embedding", keyed, spare, rows, entries, memory + 4 * rows);
    const Backward<T> b = {.dy = args.dy.as<T>(),
                           .weights = args.weights ? args.weights.as<double>() : nullptr,
                           .sorted = sorted,
                           .rows = rows,
                           .columns = columns,
                           .entries = entries,
                           .carried = reinterpret_cast<float*>(memory + 4 * rows + counts),
                           .dtable = args.dtable.as<float>()};
    const Launch blocks = {"embedding",
                           {static_cast<unsigned>(chunks), blocks_for(columns, threads_per_block), 1},
                           {threads_per_block, 1, 1}};
    launch(blocks, sum_chunks_kernel<T>, b);
    launch(blocks, add_carried_kernel<T>, b);
    args.arena->give_back(memory);
}

}  // namespace

void embedding_forward(const EmbeddingForward& args) {
    for_storage("embedding", args.y.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void embedding_backward(const EmbeddingBackward& args) {
    for_storage("embedding", args.dy.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET
