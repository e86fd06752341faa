#include "data/word_counts.h"

#include <omp.h>

#include <algorithm>
#include <exception>

namespace locus {
namespace {

constexpr std::size_t batch_bytes = std::size_t{8} << 20U;
constexpr std::size_t table_count = 64;

/// Keeps the first exception of a parallel region, out of which none may escape.
class FirstError {
public:
    template <typename Work>
    void run(const Work& work) noexcept {
        try {
            work();
        } catch (...) {
#pragma omp critical(locus_word_counts_error)
            if (!error_) error_ = std::current_exception();
        }
    }
    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

private:
    std::exception_ptr error_;
};

}  // namespace

WordCounter::WordCounter(const Normalisation& rules, std::int64_t longest_word, std::size_t most_words)
    : rules_(rules), longest_word_(longest_word), most_words_(most_words), tables_(table_count) {}

void WordCounter::add(std::string_view text) {
    if (!batch_.empty() && batch_.size() + text.size() > batch_bytes) count_batch();
    batch_.append(text);
    ends_.push_back(batch_.size());
}

void WordCounter::count_batch() {
    const auto threads = static_cast<std::size_t>(omp_get_max_threads());
    std::vector<std::vector<Table>> found(threads, std::vector<Table>(table_count));
    std::int64_t total = 0, too_long = 0;
    FirstError error;
#pragma omp parallel for schedule(dynamic, 64) reduction(+ : total, too_long)
    for (std::size_t i = 0; i < ends_.size(); ++i) {
        error.run([&] {
            std::vector<Table>& mine = found[static_cast<std::size_t>(omp_get_thread_num())];
            const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
            const std::string_view text(batch_.data() + begin, ends_[i] - begin);
            split_words(text, rules_, longest_word_, [&](std::string_view word, std::int64_t characters) {
                ++total;
                if (characters > longest_word_) {
                    ++too_long;
                    return;
                }
                Table& table = mine[TextHash{}(word) % table_count];
                const auto place = table.find(word);
                if (place == table.end()) {
                    table.emplace(word, 1);
                } else {
                    ++place->second;
                }
            });
        });
    }
    error.rethrow();
    counts_.total += total;
    counts_.too_long += too_long;
    merge(found);
    batch_.clear();
    ends_.clear();
}

void WordCounter::merge(std::vector<std::vector<Table>>& found) {
    FirstError error;
#pragma omp parallel for schedule(dynamic)
    for (std::size_t t = 0; t < table_count; ++t) {
        error.run([&] {
            for (std::vector<Table>& of_thread : found) {
                for (const auto& [word, count] : of_thread[t]) tables_[t][word] += count;
                Table().swap(of_thread[t]);
            }
        });
    }
    error.rethrow();
    if (distinct() > most_words_) drop_rare_words();
}

std::size_t WordCounter::distinct() const {
    std::size_t sum = 0;
    for (const Table& table : tables_) sum += table.size();
    return sum;
}

void WordCounter::drop_rare_words() {
    for (std::int64_t rare = 1; distinct() > most_words_ / 2; ++rare) {
        for (Table& table : tables_) {
            for (auto at = table.begin(); at != table.end();) {
                if (at->second > rare) {
                    ++at;
                    continue;
                }
                counts_.dropped += at->second;
                at = table.erase(at);
            }
        }
    }
}

WordCounts WordCounter::finish() {
    count_batch();
    counts_.words.reserve(distinct());
    for (Table& table : tables_) {
        counts_.words.insert(counts_.words.end(), table.begin(), table.end());
        Table().swap(table);
    }
    std::sort(counts_.words.begin(), counts_.words.end(), [](const auto& a, const auto& b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    return std::move(counts_);
}

}  // namespace locus
