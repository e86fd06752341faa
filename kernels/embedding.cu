// Rows of a table on a GPU. Forward: a thread for each eight elements. Backward: the row numbers are sorted by id, so that the rows of each entry lie
// together, in row order; then the sorted rows are cut into chunks of 32, whatever their ids, and a thread for each eight columns walks over each chunk:
//
//     sorted ids     3 3 3 5 | 5 5 5 5 | 5 7 8 8        (chunks of 4)
//     begun here     3     5               7 8          added to dtable at once: a run of equal ids begins in one chunk only
//     carried                  5         5              a sum per chunk for the run that an earlier chunk began; added to dtable afterwards, in order
//
// An entry that has half of the rows (a token type) keeps as many threads at work as thousands that have a few. Formula, shapes: embedding.h.
//
// bytes    forward reads the table's rows and writes y; backward reads dy once, and reads and writes the rows of dtable that occur: 8 per element in
//          float32, at most 12. Carried sums are 1/32 of dy, keys and row numbers 8 bytes per row and pass of the sort
// flop     2 per element
// bound    memory, 0.2 flop per byte; backward of few rows by latency, as the sort is three launches for each eight bits of the largest id

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

constexpr int rows_per_chunk = 32, rows_at_once = 4, chunks_at_once = 16;

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

// A chunk as its block sees it, in shared memory. Behind the last row there is one more key, which none is equal to.
struct Chunk {
    std::int32_t keys[rows_per_chunk + 1], rows[rows_per_chunk];
    float weights[rows_per_chunk];
};

// All threads of the block call it. Returns how many rows of the chunk go anywhere.
template <class T>
__device__ int read_chunk(const Backward<T>& b, std::int64_t begin, Chunk& chunk) {
    for (int k = static_cast<int>(threadIdx.x); k <= rows_per_chunk; k += static_cast<int>(blockDim.x)) {
        const bool exists = k < rows_per_chunk && begin + k < b.rows;
        chunk.keys[k] = exists ? b.sorted.keys[begin + k] : -1;
        if (!exists) continue;
        chunk.rows[k] = b.sorted.rows[begin + k];
        chunk.weights[k] = weight_of(b.weights, chunk.rows[k]);
    }
    __syncthreads();
    int count = 0;
    while (count < rows_per_chunk && chunk.keys[count] >= 0 && chunk.keys[count] < b.entries) ++count;
    return count;
}

// A block for each chunk and some columns. The sums go by row, but the loads of some rows are under way before the first is added.
template <int N, class T>
__global__ void sum_chunks_kernel(Backward<T> b) {
    __shared__ Chunk chunk;
    const std::int64_t begin = blockIdx.x * std::int64_t{rows_per_chunk};
    const std::int64_t c = N * (static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x);
    const int count = read_chunk(b, begin, chunk);
    if (c >= b.columns) return;
    const std::int32_t carried_key = b.goes_on_at(begin) ? chunk.keys[0] : -1;
    // Where the sum of the run that ends with row i belongs; nullptr where none ends.
    const auto target = [&](int i) -> float* {
        if (i >= count || chunk.keys[i] == chunk.keys[i + 1]) return nullptr;
        return chunk.keys[i] == carried_key ? b.carried + blockIdx.x * b.columns + c
                                            : b.dtable + chunk.keys[i] * b.columns + c;
    };
    Several<N> sum = {};
    for (int first = 0; first < count; first += rows_at_once) {
        Several<N> dy[rows_at_once] = {}, before[rows_at_once] = {};
        for (int k = 0; k < rows_at_once; ++k) {
            const int i = first + k;
            if (i < count) dy[k] = load_several<N>(b.dy + chunk.rows[i] * b.columns + c);
            if (target(i) != nullptr && chunk.keys[i] != carried_key) before[k] = load_several<N>(target(i));
        }
        for (int k = 0; k < rows_at_once; ++k) {
            const int i = first + k;
            if (i < count)
                for (int n = 0; n < N; ++n) sum.of[n] += chunk.weights[i] * dy[k].of[n];
            if (target(i) == nullptr) continue;
            for (int n = 0; n < N; ++n) before[k].of[n] += sum.of[n];
            store_several(target(i), before[k]);
            sum = {};
        }
    }
}

// The chunk behind the last one of those from `chunk` on that begin with a row of the entry.
template <class T>
__device__ std::int64_t last_chunk_with(const Backward<T>& b, std::int64_t chunk, std::int32_t entry) {
    std::int64_t low = chunk, high = (b.rows + rows_per_chunk - 1) / rows_per_chunk;  // the keys are sorted
    while (low < high) {
        const std::int64_t middle = (low + high) / 2;
        if (b.sorted.keys[middle * rows_per_chunk] == entry)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The same blocks, a thread for each column: each looks whether the last run that its chunk began goes on in later ones.
template <class T>
__global__ void add_carried_kernel(Backward<T> b) {
    const std::int64_t chunk = blockIdx.x, c = static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
    const std::int64_t begin = chunk * rows_per_chunk, end = begin + rows_per_chunk;
    if (c >= b.columns || !b.goes_on_at(end)) return;
    const std::int32_t entry = b.sorted.keys[end];
    const bool begun_earlier = begin > 0 && b.sorted.keys[begin - 1] == entry;
    if (begun_earlier || entry == b.entries) return;
    const std::int64_t last = last_chunk_with(b, chunk + 1, entry);
    float sum = 0;
    for (std::int64_t first = chunk + 1; first < last; first += chunks_at_once) {
        float carried[chunks_at_once];
        for (int k = 0; k < chunks_at_once; ++k)
            carried[k] = first + k < last ? b.carried[(first + k) * b.columns + c] : 0.0F;
        for (const float one : carried) sum += one;
    }
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
    for_width({args.dy, args.dtable}, [&](auto width) {
        const unsigned threads = threads_for_row<width>(columns);
        const Launch blocks = {
            "embedding", {static_cast<unsigned>(chunks), blocks_for(columns, width * threads), 1}, {threads, 1, 1}};
        launch(blocks, sum_chunks_kernel<width, T>, b);
    });
    const Launch blocks = {"embedding",
                           {static_cast<unsigned>(chunks), blocks_for(columns, threads_per_block), 1},
                           {threads_per_block, 1, 1}};
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
