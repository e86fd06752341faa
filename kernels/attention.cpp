// Fused attention: tiles of 64 queries x 128 keys, softmax with a running maximum, probabilities computed again in the backward pass.
// The formulas, shapes and costs are in attention.h; the plain loops in attention_reference.cpp. What a reader may want next:
//
//   attention_product.h   the small matrix product           attention_band.h    terms by distance as skewed products
//   attention_softmax.h   what happens to a row of scores     attention_pairs.h   the same terms pair by pair
//   attention_terms.h     tables as bands                     attention_tile.h    the scores of a tile
//
// forward    per tile: S = scale (q + u) K^T + terms,  P = exp(f S - m),  O = O exp(m_old - m) + drop(P) (V + band)
// backward   per tile: S and P again,  dP = dO (V + band)^T,  dS = f P (drop'(dP) - D),  D_i = dO_i . O_i (dropout and V included);
//            dV += drop(P)^T dO,  dK += dS^T q,  dQ += dS K,  each with its band
// memory     per thread one head of one sequence, packed, and two tiles: linear in the rows of the longest sequence

#include "kernels/attention.h"

#include <omp.h>

#include <vector>

#include "kernels/attention_tile.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

int threads_for(int64_t tasks) { return static_cast<int>(std::clamp<int64_t>(tasks, 1, omp_get_max_threads())); }

/// The decisions of dropout for query i of a tile; null when nothing is dropped.
template <class T>
const std::uint16_t* draw(const Pass<T>& pass, const Place& place, int64_t i, std::uint16_t (&bits)[dropout_chunk]) {
    if (!pass.drops) return nullptr;
    const int64_t row = place.sequence->q_begin + place.i0 + i;
    dropout_bits(pass.dropout, static_cast<std::uint32_t>(place.j0 / 8),
                 static_cast<std::uint32_t>(pass.dropout_row[row]),
                 static_cast<std::uint32_t>(pass.dropout_sequence[row] * pass.heads + place.head), bits);
    return bits;
}

// ---- forward ----

template <class T>
struct ForwardMemory {
    T *k, *k_transposed, *value;      // of all keys
    T *q_content, *q_position, *out;  // of a tile of queries
    T *s, *other;                     // tiles
    Running<T>* running;

    ForwardMemory(Cutter& cutter, const Pass<T>& pass) {
        const int64_t keys = round_up(pass.longest_k(), k_tile), width = pass.terms.width;
        k = cutter.cut<T>(keys * pass.terms.content_width);
        k_transposed = cutter.cut<T>(keys * pass.terms.content_dim);
        value = cutter.cut<T>(keys * width);
        q_content = cutter.cut<T>(q_tile * pass.terms.content_width);
        q_position = cutter.cut<T>(q_tile * width);
        out = cutter.cut<T>(q_tile * width);
        s = cutter.cut<T>(TileShape<T>::count);
        other = cutter.cut<T>(TileShape<T>::transposed_count);
        running = cutter.cut<Running<T>>(q_tile);
    }
};

/// One head of one sequence, or a tile of its queries.
struct ForwardTask {
    const Sequence* sequence;
    int64_t head, q_begin, q_end;
};

template <class T>
std::vector<ForwardTask> forward_tasks(const Pass<T>& pass) {
    const bool few = static_cast<int64_t>(pass.sequences.size()) * pass.heads < int64_t{4} * omp_get_max_threads();
    std::vector<ForwardTask> tasks;
    for (const Sequence& sequence : pass.sequences) {
        const int64_t step = few ? q_tile : std::max<int64_t>(sequence.q_count, 1);
        for (int64_t head = 0; head < pass.heads; ++head)
            for (int64_t i = 0; i < sequence.q_count; i += step)
                tasks.push_back({&sequence, head, i, std::min(i + step, sequence.q_count)});
    }
    return tasks;
}

template <class T>
void softmax_tile(const Pass<T>& pass, const Place& place, const ForwardMemory<T>& memory, T* s) {
    std::uint16_t memory_of_bits[dropout_chunk];
    for (int64_t i = 0; i < place.q_count; ++i) {
        T* const row = s + i * TileShape<T>::stride;
        const Visible seen = visible(place, pass.terms.window, i);
        scale_row(row, seen.begin, seen.end, static_cast<T>(place.sequence->scale));
        const T correction = softmax_row(row, seen.begin, seen.end, memory.running[i]);
        if (correction != T{1}) {
            T* const out = memory.out + i * pass.terms.width;
            for (int64_t c = 0; c < pass.terms.width; ++c) out[c] *= correction;
        }
        if (const std::uint16_t* bits = draw(pass, place, i, memory_of_bits))
            drop_row(row, seen.begin, seen.end, bits, pass.dropout);
        clear_outside(row, seen);
    }
    clear_below(s, place.q_count);
}

template <class T>
void forward_tile(const Pass<T>& pass, const Place& place, const ForwardMemory<T>& memory) {
    const int64_t width = pass.terms.width, content_width = pass.terms.content_width;
    T* const s = memory.s + TileShape<T>::first;
    score_tile(s, memory.other + TileShape<T>::transposed_first, pass, place,
               ScoreOperands<T>{{memory.q_content, content_width},
                                {memory.q_position, width},
                                {memory.k + place.j0 * content_width, content_width},
                                {memory.k_transposed + place.j0 * pass.terms.content_dim, k_tile}});
    softmax_tile(pass, place, memory, s);
    const Rows<T> out{memory.out, width};
    const Tile<const T> p{s, TileShape<T>::stride, 1};
    product<true>(pass.on_tiles, place.q_count, width, place.k_count, Elements<T>{s, TileShape<T>::stride, 1},
                  Rows<const T>{memory.value + place.j0 * width, width}, out);
    if (!pass.terms.value) return;
    if (!place.sequence->banded) return add_pair_values(p, pairs_of(pass, place), pass.terms, out);
    const Band<T> band = pass.bands.value.of(place.head);
    add_band_rows(pass.on_tiles, p, place.q_count, place.k_count, width, band, band.first(place.distance()), out);
}

/// out = O / sum and log_sum_exp of a tile of queries; 0 and minus infinity without a visible key.
template <class T>
void finish_queries(const Pass<T>& pass, const ForwardTask& task, int64_t i0, const ForwardMemory<T>& memory,
                    const HeadRows<T>& out, T* log_sum_exp) {
    for (int64_t i = 0; i0 + i < std::min(i0 + q_tile, task.q_end); ++i) {
        const int64_t row = task.sequence->q_begin + i0 + i;
        const Running<T>& running = memory.running[i];
        const bool nothing = running.sum == T{0};
        const T factor = nothing ? T{0} : T{1} / running.sum;
        T* const to = out.of(row, task.head).data;
        if (i0 + i + rows_ahead < task.q_end) fetch_row<true>(to + rows_ahead * out.stride, pass.terms.head_dim);
        for (int64_t c = 0; c < pass.terms.head_dim; ++c) to[c] = factor * memory.out[i * pass.terms.width + c];
        log_sum_exp[row * pass.heads + task.head] =
            nothing ? minus_infinity<T> : running.maximum + std::log(running.sum);
    }
}

template <class T>
void forward_task(const AttentionForward& args, const Pass<T>& pass, const ForwardTask& task,
                  const ForwardMemory<T>& memory) {
    const Terms<T>& terms = pass.terms;
    const Sequence& sequence = *task.sequence;
    const HeadRows<const T> q(args.q), k(args.k), value(args.value);
    const HeadRows<T> out(args.out);
    const int64_t head = task.head, head_dim = terms.head_dim;
    const auto of_head = [&](const T* x) { return x == nullptr ? nullptr : x + head * head_dim; };
    const Rows<T> keys{memory.k, terms.content_width}, queries{memory.q_content, terms.content_width};
    if (sequence.k_count > 0) {
        pack_rows(keys, k.of(sequence.k_begin, head), sequence.k_count, head_dim);
        pack_channels(keys, args.terms.channels, &AttentionChannels::key, sequence.k_begin, head, sequence.k_count,
                      head_dim, T{1});
        pack_rows({memory.value, terms.width}, value.of(sequence.k_begin, head), sequence.k_count, head_dim);
        pack_transposed(memory.k_transposed, Rows<const T>{keys.data, keys.stride}, sequence.k_count,
                        terms.content_dim);
    }
    for (int64_t i0 = task.q_begin; i0 < task.q_end; i0 += q_tile) {
        const int64_t count = std::min(q_tile, sequence.q_count - i0);
        const Rows<const T> rows = q.of(sequence.q_begin + i0, head);
        pack_rows(queries, rows, count, head_dim, terms.scale, of_head(terms.content));
        pack_channels(queries, args.terms.channels, &AttentionChannels::query, sequence.q_begin + i0, head, count,
                      head_dim, terms.scale);
        if (terms.key)
            pack_rows({memory.q_position, terms.width}, rows, count, head_dim, terms.scale, of_head(terms.position));
        std::fill_n(memory.out, q_tile * terms.width, T{0});
        std::fill_n(memory.running, count, Running<T>{});
        for (int64_t j0 = 0; j0 < sequence.k_count; j0 += k_tile) {
            const Place place(sequence, task.head, i0, j0);
            if (!place.out_of_sight(terms.window)) forward_tile(pass, place, memory);
        }
        finish_queries(pass, task, i0, memory, out, args.log_sum_exp.as<T>());
    }
}

/// Runs body(task, memory) for all tasks, each thread with scratch of its own.
template <class Memory, class T, class Tasks, class Body>
void for_each_task(Arena& arena, const Pass<T>& pass, const Tasks& tasks, Body body) {
    Cutter measure(nullptr);
    const Memory measured(measure, pass);
    const int threads = threads_for(static_cast<int64_t>(tasks.size()));
    const Scratch scratch(arena, measure.bytes() * threads);
#pragma omp parallel num_threads(threads)
    {
        Cutter cutter(scratch.data() + omp_get_thread_num() * measure.bytes());
        const Memory memory(cutter, pass);
        std::memset(scratch.data() + omp_get_thread_num() * measure.bytes(), 0,
                    static_cast<std::size_t>(measure.bytes()));
#pragma omp for schedule(dynamic)
        for (std::size_t task = 0; task < tasks.size(); ++task) body(tasks[task], memory);
    }
}

template <class T>
Scratch spread_bands(Arena& arena, Pass<T>& pass, bool backward) {
    const DistanceRange range = pass.bands.range;
    Cutter measure(nullptr);
    spread_terms(measure, pass.terms, pass.heads, range, backward, false);
    return Scratch(arena, measure.bytes());
}

template <class T>
void forward(const AttentionForward& args) {
    Pass<T> pass("attention_forward", args);
    const Scratch band_memory = spread_bands(*args.arena, pass, false);
    Cutter cutter(band_memory.data());
    pass.bands = spread_terms(cutter, pass.terms, pass.heads, pass.bands.range, false, true);
    const std::vector<ForwardTask> tasks = forward_tasks(pass);
    for_each_task<ForwardMemory<T>>(
        *args.arena, pass, tasks,
        [&](const ForwardTask& task, const ForwardMemory<T>& memory) { forward_task(args, pass, task, memory); });
}

// ---- backward ----

constexpr int64_t gradient_groups = 8;  // fixed, so that the order of addition does not depend on the number of threads

template <class T>
struct BackwardMemory {
    T *q_content, *q_position, *dout, *dq, *weighted_sum;  // of all queries; weighted_sum: D_i
    T *k, *k_transposed, *value_transposed, *dk, *dvalue;  // of all keys
    T *s, *ds, *other;                                     // tiles
    T *band, *by_distance, *by_key, *row;

    BackwardMemory(Cutter& cutter, const Pass<T>& pass) {
        const int64_t queries = round_up(pass.longest_q(), q_tile), keys = round_up(pass.longest_k(), k_tile);
        const int64_t width = pass.terms.width, content_width = pass.terms.content_width;
        for (T** rows : {&q_content, &dq}) *rows = cutter.cut<T>(queries * content_width);
        for (T** rows : {&q_position, &dout}) *rows = cutter.cut<T>(queries * width);
        for (T** rows : {&k, &k_transposed, &dk}) *rows = cutter.cut<T>(keys * content_width);
        for (T** rows : {&value_transposed, &dvalue}) *rows = cutter.cut<T>(keys * width);
        weighted_sum = cutter.cut<T>(queries);
        s = cutter.cut<T>(TileShape<T>::count);
        ds = cutter.cut<T>(TileShape<T>::count);
        other = cutter.cut<T>(TileShape<T>::transposed_count);
        band = cutter.cut<T>((q_tile + k_tile + block_rows) * width);
        by_distance = cutter.cut<T>(q_tile + k_tile);
        by_key = cutter.cut<T>(k_tile);
        row = cutter.cut<T>(width);
    }
};

/// Table rows that the distances lowest .. highest can reach.
struct RowRange {
    int64_t first = 0, count = 0;
};
template <class T>
RowRange rows_in_reach(const Lookup<T>& table, int64_t lowest, int64_t highest) {
    if (!table) return {};
    lowest = std::clamp(lowest, -table.reach, table.reach);
    highest = std::clamp(highest, -table.reach, table.reach);
    int64_t first = table.row(lowest), last = first;
    for (int64_t r = lowest; r <= highest; ++r) {
        first = std::min(first, table.row(r));
        last = std::max(last, table.row(r));
    }
    return {first, last - first + 1};
}

/// The least and the greatest distance of any query and key of the same sequence.
template <class T>
std::array<int64_t, 2> distance_limits(const Pass<T>& pass) {
    std::array<int64_t, 2> limits{0, 0};
    for (const Sequence& s : pass.sequences) {
        if (pass.q_positions == nullptr || s.q_count == 0 || s.k_count == 0) continue;
        const auto [q_low, q_high] =
            std::minmax_element(pass.q_positions + s.q_begin, pass.q_positions + s.q_begin + s.q_count);
        const auto [k_low, k_high] =
            std::minmax_element(pass.k_positions + s.k_begin, pass.k_positions + s.k_begin + s.k_count);
        limits[0] = std::min(limits[0], int64_t{*q_low} - *k_high);
        limits[1] = std::max(limits[1], int64_t{*q_high} - *k_low);
    }
    return limits;
}

/// The sums over groups of sequences: one TermSums per (group, head), in one block.
template <class T>
struct GroupSums {
    RowRange key, query, value;
    int64_t bytes = 0;  // of one TermSums

    GroupSums(const AttentionTermGradients& wanted, const Pass<T>& pass) {
        const auto [lowest, highest] = distance_limits(pass);
        if (wanted.key_table) key = rows_in_reach(pass.terms.key, lowest, highest);
        if (wanted.query_table) query = rows_in_reach(pass.terms.query, lowest, highest);
        if (wanted.value_table) value = rows_in_reach(pass.terms.value, lowest, highest);
        Cutter measure(nullptr);
        cut(measure, wanted, pass.terms);
        bytes = measure.bytes();
    }

    TermSums<T> cut(Cutter& cutter, const AttentionTermGradients& wanted, const Terms<T>& terms) const {
        TermSums<T> sums;
        if (wanted.key_table) sums.key = cutter.cut<T>(key.count * terms.width);
        if (wanted.query_table) sums.query = cutter.cut<T>(query.count * terms.width);
        if (wanted.value_table) sums.value = cutter.cut<T>(value.count * terms.width);
        sums.key_first = key.first;
        sums.query_first = query.first;
        sums.value_first = value.first;
        if (wanted.content_bias) sums.content = cutter.cut<T>(terms.width);
        if (wanted.position_bias) sums.position = cutter.cut<T>(terms.width);
        for (std::size_t n = 0; n < sums.biases.size(); ++n) {
            if (!wanted.biases[n]) continue;
            sums.biases[n] = {cutter.cut<T>(wanted.biases[n].shape[1]), wanted.biases[n].shape[1]};
        }
        return sums;
    }
};

/// sums[row(r)] += factor * g for the distances of a tile: row y of g has the distance r + sign * y.
template <class T>
void add_band_to_table(T* sums, int64_t first_row, const Lookup<T>& table, Rows<const T> g, int64_t distances,
                       int64_t r, int sign, T factor, int64_t width) {
    for (int64_t y = 0; y < distances; ++y)
        add_scaled(sums + (table.row(r + sign * y) - first_row) * width, factor, g.data + y * g.stride, width);
}

/// Gradients of biases and v: sums of dS by distance.
template <class T>
void add_sums_by_distance(const Pass<T>& pass, const Place& place, const BackwardMemory<T>& memory, const T* ds,
                          const TermSums<T>& sums) {
    bool wanted = sums.position != nullptr;
    for (const auto& bias : sums.biases) wanted = wanted || bias;
    if (!wanted) return;
    const int64_t last = place.q_count - 1, distances = place.q_count + place.k_count - 1;
    std::fill_n(memory.by_distance, distances, T{0});
    for (int64_t i = 0; i < place.q_count; ++i)
        add_scaled(memory.by_distance + last - i, T{1}, ds + i * TileShape<T>::stride, place.k_count);
    const Band<T> key = pass.bands.key.of(place.head);
    for (int64_t y = 0; y < distances; ++y) {
        const int64_t r = place.distance() + last - y;
        for (const auto& bias : sums.biases)
            if (bias) bias.at(0, r) += memory.by_distance[y];
        if (sums.position != nullptr && key)
            add_scaled(sums.position, pass.terms.scale * memory.by_distance[y],
                       key.rows + (key.first(r)) * key.row_stride, pass.terms.width);
    }
}

/// dS with the keys first, because tile registers want a tile's rows or columns contiguous even askew; zeros around it.
template <class T>
Tile<const T> transposed_copy(const Place& place, const BackwardMemory<T>& memory) {
    using Shape = TileShape<T>;
    constexpr int64_t stride = Shape::transposed_stride;
    T* const to = memory.other + Shape::transposed_first;
    transpose<false>(place.q_count, place.k_count, Rows<const T>{memory.ds + Shape::first, Shape::stride},
                     Rows<T>{to, stride});
    for (int64_t j = 0; j < place.k_count; ++j) {
        std::fill_n(to + j * stride - Shape::left, Shape::left, T{0});
        std::fill(to + j * stride + place.q_count, to + (j + 1) * stride - Shape::left, T{0});
    }
    return {to, stride, 1};
}

/// The bands' share of dq, dk and of the gradients of the terms.
template <class T>
void backward_bands(const Pass<T>& pass, const Place& place, const BackwardMemory<T>& memory, const PairRows<T>& from,
                    Rows<T> dq, Rows<T> dk, const TermSums<T>& sums) {
    using Shape = TileShape<T>;
    const int64_t width = pass.terms.width, r = place.distance(), q_count = place.q_count, k_count = place.k_count;
    const int64_t distances = q_count + k_count - 1;
    const bool on_tiles = pass.on_tiles;
    const Tile<const T> p{memory.s + Shape::first, Shape::stride, 1}, ds{memory.ds + Shape::first, Shape::stride, 1};
    const Rows<T> g{memory.band, width};
    const Rows<const T> summed{memory.band, width};
    if (const Band<T> key = pass.bands.key.of(place.head)) {
        add_band_rows(on_tiles, ds, q_count, k_count, width, key, key.first(r), dq);
        if (sums.key != nullptr) {
            band_gradient(on_tiles, ds, q_count, k_count, width, from.q, g);
            add_band_to_table(sums.key, sums.key_first, pass.terms.key, summed, distances, r + q_count - 1, -1, T{1},
                              width);
        }
    }
    if (const Band<T> query = pass.bands.query.of(place.head)) {
        const Tile<const T> keys_first = on_tiles ? transposed_copy(place, memory) : ds.transposed();
        add_band_rows(on_tiles, keys_first, k_count, q_count, width, query, query.first(r), dk);
        if (sums.query != nullptr) {
            band_gradient(on_tiles, keys_first, k_count, q_count, width, from.k, g);
            add_band_to_table(sums.query, sums.query_first, pass.terms.query, summed, distances, r - (k_count - 1), 1,
                              pass.terms.scale, width);
        }
    }
    if (sums.value != nullptr) {
        band_gradient(on_tiles, p, q_count, k_count, width, from.dout, g);
        add_band_to_table(sums.value, sums.value_first, pass.terms.value, summed, distances, r + q_count - 1, -1, T{1},
                          width);
    }
    add_sums_by_distance(pass, place, memory, ds.data, sums);
}

/// du += scale sum_j (sum_i dS(i, j)) k_j
template <class T>
void add_content_bias_gradient(const Pass<T>& pass, const Place& place, const BackwardMemory<T>& memory,
                               Rows<const T> k, T* sum) {
    std::fill_n(memory.by_key, place.k_count, T{0});
    for (int64_t i = 0; i < place.q_count; ++i)
        add_scaled(memory.by_key, T{1}, memory.ds + TileShape<T>::first + i * TileShape<T>::stride, place.k_count);
    for (int64_t j = 0; j < place.k_count; ++j)
        add_scaled(sum, pass.terms.scale * memory.by_key[j], k.data + j * k.stride, pass.terms.width);
}

/// drop(P) in memory.s and dS in memory.ds.
template <class T>
void probability_gradients(const Pass<T>& pass, const Place& place, const BackwardMemory<T>& memory,
                           const T* log_sum_exp) {
    using Shape = TileShape<T>;
    const int64_t width = pass.terms.width, head_dim = pass.terms.head_dim, content_width = pass.terms.content_width;
    T *const s = memory.s + Shape::first, *const ds = memory.ds + Shape::first;
    const Rows<const T> dout{memory.dout + place.i0 * width, width};
    score_tile(s, memory.other + Shape::transposed_first, pass, place,
               ScoreOperands<T>{{memory.q_content + place.i0 * content_width, content_width},
                                {memory.q_position + place.i0 * width, width},
                                {memory.k + place.j0 * content_width, content_width},
                                {memory.k_transposed + place.j0 * pass.terms.content_dim, k_tile}});
    product<false>(pass.on_tiles, place.q_count, place.k_count, head_dim, Elements<T>{dout.data, width, 1},
                   Rows<const T>{memory.value_transposed + place.j0 * head_dim, k_tile}, Rows<T>{ds, Shape::stride});
    if (pass.terms.value && place.sequence->banded) {
        const Band<T> band = pass.bands.value.of(place.head);
        band_scores<true>(pass.on_tiles, Tile<T>{ds, Shape::stride, 1}, place.q_count, place.k_count, head_dim, dout,
                          band, band.first(place.distance()));
    } else if (pass.terms.value) {
        add_pair_value_scores(Tile<T>{ds, Shape::stride, 1}, pairs_of(pass, place), pass.terms, dout);
    }
    std::uint16_t bits[dropout_chunk];
    const T factor = static_cast<T>(place.sequence->scale);
    for (int64_t i = 0; i < place.q_count; ++i) {
        const Visible seen = visible(place, pass.terms.window, i);
        T *const s_row = s + i * Shape::stride, *const ds_row = ds + i * Shape::stride;
        const int64_t row = place.sequence->q_begin + place.i0 + i;
        scale_row(s_row, seen.begin, seen.end, factor);
        softmax_row_backward(s_row, ds_row, seen.begin, seen.end, log_sum_exp[row * pass.heads + place.head],
                             memory.weighted_sum[place.i0 + i], draw(pass, place, i, bits), pass.dropout);
        scale_row(ds_row, seen.begin, seen.end, factor);
        clear_outside(s_row, seen);
        clear_outside(ds_row, seen);
    }
    clear_below(s, place.q_count);
    clear_below(ds, place.q_count);
}

template <class T>
void backward_tile(const Pass<T>& pass, const Place& place, const BackwardMemory<T>& memory, const T* log_sum_exp,
                   const TermSums<T>& sums) {
    using Shape = TileShape<T>;
    probability_gradients(pass, place, memory, log_sum_exp);
    const int64_t width = pass.terms.width, content_width = pass.terms.content_width;
    const int64_t q_at = place.i0 * content_width, k_at = place.j0 * content_width;
    const T *const p = memory.s + Shape::first, *const ds = memory.ds + Shape::first;
    const Rows<const T> q{memory.q_content + q_at, content_width}, k{memory.k + k_at, content_width},
        dout{memory.dout + place.i0 * width, width};
    const Rows<T> dq{memory.dq + q_at, content_width}, dk{memory.dk + k_at, content_width};
    product<true>(pass.on_tiles, place.k_count, width, place.q_count, Elements<T>{p, 1, Shape::stride}, dout,
                  Rows<T>{memory.dvalue + place.j0 * width, width});
    product<true>(pass.on_tiles, place.k_count, content_width, place.q_count, Elements<T>{ds, 1, Shape::stride}, q, dk);
    product<true>(pass.on_tiles, place.q_count, content_width, place.k_count, Elements<T>{ds, Shape::stride, 1}, k, dq);
    if (sums.content != nullptr) add_content_bias_gradient(pass, place, memory, k, sums.content);
    if (!pass.terms.by_distance()) return;
    const PairRows<T> from{{memory.q_position + place.i0 * width, width}, dout, k};
    if (place.sequence->banded) return backward_bands(pass, place, memory, from, dq, dk, sums);
    add_pair_gradients(Tile<const T>{p, Shape::stride, 1}, Tile<const T>{ds, Shape::stride, 1}, pairs_of(pass, place),
                       pass.terms, from, dq, dk, sums, memory.row);
}

template <class T>
void write_rows(Rows<T> to, Rows<const T> from, int64_t rows, int64_t head_dim, T scale, bool accumulate) {
    for (int64_t r = 0; r < rows; ++r) {
        T* const y = to.data + r * to.stride;
        const T* const x = from.data + r * from.stride;
        if (r + rows_ahead < rows) fetch_row<true>(y + rows_ahead * to.stride, head_dim);
        if (accumulate) {
            for (int64_t c = 0; c < head_dim; ++c) y[c] += scale * x[c];
        } else {
            for (int64_t c = 0; c < head_dim; ++c) y[c] = scale * x[c];
        }
    }
}

/// Packs what the tiles of a (sequence, head) read, and clears what they add to.
template <class T>
void prepare_head(const AttentionBackward& args, const Pass<T>& pass, const Sequence& sequence, int64_t head,
                  const BackwardMemory<T>& memory) {
    const Terms<T>& terms = pass.terms;
    const int64_t width = terms.width, content_width = terms.content_width, head_dim = terms.head_dim;
    const auto of_head = [&](const T* x) { return x == nullptr ? nullptr : x + head * head_dim; };
    const Rows<T> queries{memory.q_content, content_width}, keys{memory.k, content_width};
    const Rows<const T> q = HeadRows<const T>(args.q).of(sequence.q_begin, head);
    const Rows<const T> out = HeadRows<const T>(args.out).of(sequence.q_begin, head);
    const Rows<const T> dout = HeadRows<const T>(args.dout).of(sequence.q_begin, head);
    pack_rows(queries, q, sequence.q_count, head_dim, terms.scale, of_head(terms.content));
    pack_channels(queries, args.terms.channels, &AttentionChannels::query, sequence.q_begin, head, sequence.q_count,
                  head_dim, terms.scale);
    if (terms.key)
        pack_rows({memory.q_position, width}, q, sequence.q_count, head_dim, terms.scale, of_head(terms.position));
    pack_rows({memory.dout, width}, dout, sequence.q_count, head_dim);
    pack_rows(keys, HeadRows<const T>(args.k).of(sequence.k_begin, head), sequence.k_count, head_dim);
    pack_channels(keys, args.terms.channels, &AttentionChannels::key, sequence.k_begin, head, sequence.k_count,
                  head_dim, T{1});
    pack_transposed(memory.k_transposed, Rows<const T>{keys.data, keys.stride}, sequence.k_count, terms.content_dim);
    pack_transposed(memory.value_transposed, HeadRows<const T>(args.value).of(sequence.k_begin, head), sequence.k_count,
                    head_dim);
    for (int64_t i = 0; i < sequence.q_count; ++i) {
        const T* const row = out.data + i * out.stride;
        if (i + rows_ahead < sequence.q_count) fetch_row<false>(row + rows_ahead * out.stride, head_dim);
        memory.weighted_sum[i] = dot(memory.dout + i * width, row, head_dim);
    }
    std::fill_n(memory.dq, round_up(sequence.q_count, q_tile) * content_width, T{0});
    std::fill_n(memory.dk, round_up(sequence.k_count, k_tile) * content_width, T{0});
    std::fill_n(memory.dvalue, round_up(sequence.k_count, k_tile) * width, T{0});
}

template <class T>
void backward_head(const AttentionBackward& args, const Pass<T>& pass, const Sequence& sequence, int64_t head,
                   const BackwardMemory<T>& memory, const TermSums<T>& sums) {
    prepare_head(args, pass, sequence, head, memory);
    for (int64_t j0 = 0; j0 < sequence.k_count; j0 += k_tile) {
        for (int64_t i0 = 0; i0 < sequence.q_count; i0 += q_tile) {
            const Place place(sequence, head, i0, j0);
            if (!place.out_of_sight(pass.terms.window))
                backward_tile(pass, place, memory, static_cast<const T*>(args.log_sum_exp.as<T>()), sums);
        }
    }
    const int64_t head_dim = pass.terms.head_dim;
    const Rows<const T> dq{memory.dq, pass.terms.content_width}, dk{memory.dk, pass.terms.content_width};
    const auto write = [&](const Tensor& to, int64_t begin, int64_t count, Rows<const T> from, T scale) {
        write_rows(HeadRows<T>(to).of(begin, head), from, count, head_dim, scale, args.accumulate);
    };
    write(args.dq, sequence.q_begin, sequence.q_count, dq, pass.terms.scale);
    write(args.dk, sequence.k_begin, sequence.k_count, dk, T{1});
    write(args.dvalue, sequence.k_begin, sequence.k_count, {memory.dvalue, pass.terms.width}, T{1});
    add_channel_gradients(args.dterms.channels, args.terms.channels, &AttentionChannels::query, sequence.q_begin, head,
                          sequence.q_count, dq, head_dim, pass.terms.scale);
    add_channel_gradients(args.dterms.channels, args.terms.channels, &AttentionChannels::key, sequence.k_begin, head,
                          sequence.k_count, dk, head_dim, T{1});
}

/// A group of sequences of one head.
template <class T>
struct BackwardTask {
    int64_t begin, end, head;  // sequences
    TermSums<T> sums;
    char* block;  // of the sums
};

/// The gradient of a table: the rows in reach of all groups, and of all heads when they share it, in order.
template <class T>
void add_table_sums(const Tensor& gradient, const RowRange& rows, T* TermSums<T>::*member, int64_t width,
                    const std::vector<BackwardTask<T>>& tasks) {
    if (!gradient) return;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows.count; ++row) {
        for (std::size_t task = 0; task < tasks.size(); ++task) {
            const int64_t head = gradient.shape[0] == 1 ? 0 : tasks[task].head;
            T* const to = gradient.as<T>() + head * gradient.strides[0] + (rows.first + row) * gradient.strides[1];
            add_scaled(to, T{1}, tasks[task].sums.*member + row * width, gradient.shape[2]);
        }
    }
}

template <class T>
void add_term_gradients(const AttentionBackward& args, const Pass<T>& pass, const GroupSums<T>& layout,
                        const std::vector<BackwardTask<T>>& tasks) {
    const AttentionTermGradients& to = args.dterms;
    const int64_t width = pass.terms.width, head_dim = pass.terms.head_dim;
    add_table_sums(to.key_table, layout.key, &TermSums<T>::key, width, tasks);
    add_table_sums(to.query_table, layout.query, &TermSums<T>::query, width, tasks);
    add_table_sums(to.value_table, layout.value, &TermSums<T>::value, width, tasks);
    for (const BackwardTask<T>& task : tasks) {
        const auto add = [&](const Tensor& gradient, const T* sum, int64_t n) {
            if (gradient) add_scaled(gradient.as<T>() + task.head * gradient.strides[0], T{1}, sum, n);
        };
        add(to.content_bias, task.sums.content, head_dim);
        add(to.position_bias, task.sums.position, head_dim);
        for (std::size_t n = 0; n < to.biases.size(); ++n)
            add(to.biases[n], task.sums.biases[n].data, task.sums.biases[n].extent);
    }
}

template <class T>
void backward(const AttentionBackward& args) {
    Pass<T> pass("attention_backward", args);
    const Scratch band_memory = spread_bands(*args.arena, pass, true);
    Cutter cutter(band_memory.data());
    pass.bands = spread_terms(cutter, pass.terms, pass.heads, pass.bands.range, true, true);

    const GroupSums<T> layout(args.dterms, pass);
    const auto sequences = static_cast<int64_t>(pass.sequences.size());
    const int64_t groups = layout.bytes == 0 ? sequences : std::min(gradient_groups, sequences);
    const Scratch sums_memory(*args.arena, groups * pass.heads * layout.bytes);
    std::vector<BackwardTask<T>> tasks;
    for (int64_t group = 0; group < groups; ++group) {
        for (int64_t head = 0; head < pass.heads; ++head) {
            char* const block = sums_memory.data() + static_cast<int64_t>(tasks.size()) * layout.bytes;
            Cutter sums(block);
            tasks.push_back({group * sequences / groups, (group + 1) * sequences / groups, head,
                             layout.cut(sums, args.dterms, pass.terms), block});
        }
    }
    for_each_task<BackwardMemory<T>>(
        *args.arena, pass, tasks, [&](const BackwardTask<T>& task, const BackwardMemory<T>& memory) {
            std::memset(task.block, 0, static_cast<std::size_t>(layout.bytes));
            for (int64_t s = task.begin; s < task.end; ++s)
                backward_head(args, pass, pass.sequences[static_cast<std::size_t>(s)], task.head, memory, task.sums);
        });
    add_term_gradients(args, pass, layout, tasks);
}

[[maybe_unused]] void check(const AttentionForward& args) {
    check_attention("attention_forward", args);
    LOCUS_CHECK(args.arena != nullptr, "attention_forward", "needs an arena for its scratch");
}

[[maybe_unused]] void check(const AttentionBackward& args) {
    check_attention("attention_backward", args);
    LOCUS_CHECK(args.arena != nullptr, "attention_backward", "needs an arena for its scratch");
}

}  // namespace

void attention_forward(const AttentionForward& args) {
    check_attention_numbers("attention_forward", args);
    for_dtype("attention_forward", args.q.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void attention_backward(const AttentionBackward& args) {
    check_attention_numbers("attention_backward", args);
    for_dtype("attention_backward", args.q.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(attention_forward, AttentionForward, q)
LOCUS_KERNEL(attention_backward, AttentionBackward, q)
