#include "data/wordpiece_training.h"

#include <queue>
#include <unordered_map>

#include "data/basic_tokenizer.h"

namespace locus {
namespace {

using Id = std::uint32_t;
using Pair = std::uint64_t;  // left piece in the upper half, right piece in the lower

constexpr Pair pair_of(Id left, Id right) { return (Pair{left} << 32U) | right; }

struct PairUse {
    std::int64_t count = 0;
    std::vector<std::uint32_t> words;  // that had the pair when it was counted; some may have lost it since
    bool changed = false;              // commoner than the queue knows
};

struct PairHash {
    std::size_t operator()(Pair pair) const {
        pair *= 0x9E3779B97F4A7C15ULL;
        return static_cast<std::size_t>(pair ^ (pair >> 32U));
    }
};

struct Candidate {
    std::int64_t count;
    Pair pair;

    bool operator<(const Candidate& other) const {  // the largest comes first out of the queue
        return count != other.count ? count < other.count : pair > other.pair;
    }
};

class PieceLearner {
public:
    PieceLearner(std::span<const WordCount> words, std::vector<std::string>& pieces) : words_(words), pieces_(pieces) {
        for (std::size_t i = 0; i < pieces_.size(); ++i) id_of_.emplace(pieces_[i], static_cast<Id>(i));
        split_words_into_characters();
        for (std::uint32_t word = 0; word < words_.size(); ++word) {
            for (std::size_t i = begins_[word]; i + 1 < begins_[word + 1]; ++i) {
                add(pair_of(symbols_[i], symbols_[i + 1]), word, words_[word].second);
            }
        }
        queue_changed_pairs();
    }

    void learn(std::size_t vocab_size, ThrottledProgress& progress) {
        while (pieces_.size() < vocab_size && !queue_.empty()) {
            const Candidate best = queue_.top();
            queue_.pop();
            const auto use = pairs_.find(best.pair);
            if (use == pairs_.end()) continue;
            if (use->second.count != best.count) {  // counted before other merges took some of it away
                if (use->second.count > 0) queue_.push({use->second.count, best.pair});
                continue;
            }
            join(best.pair);
            progress("learning word pieces", static_cast<std::int64_t>(pieces_.size()),
                     static_cast<std::int64_t>(vocab_size));
        }
    }

private:
    void split_words_into_characters() {
        begins_.reserve(words_.size() + 1);
        lengths_.reserve(words_.size());
        std::string piece;
        for (const WordCount& counted : words_) {
            begins_.push_back(symbols_.size());
            const std::string& word = counted.first;
            for (std::size_t at = 0; at < word.size();) {
                const auto length = static_cast<std::size_t>(code_point_at(word, at).length);
                piece = at == 0 ? "" : "##";
                piece.append(word, at, length);
                symbols_.push_back(id_of_.at(piece));
                at += length;
            }
            lengths_.push_back(static_cast<std::uint32_t>(symbols_.size() - begins_.back()));
        }
        begins_.push_back(symbols_.size());
    }

    void add(Pair pair, std::uint32_t word, std::int64_t count) {
        PairUse& use = pairs_[pair];
        use.count += count;
        if (use.words.empty() || use.words.back() != word) use.words.push_back(word);
        if (use.changed) return;
        use.changed = true;
        changed_.push_back(pair);
    }

    void remove(Pair pair, std::int64_t count) {
        const auto use = pairs_.find(pair);
        if (use != pairs_.end()) use->second.count -= count;
    }

    /// The piece that the pair makes; another pair may have made the same one before ("a" "##bc" and "ab" "##c").
    Id piece_of(Id left, Id right) {
        std::string joined = pieces_[left] + pieces_[right].substr(2);
        const auto [place, is_new] = id_of_.emplace(std::move(joined), static_cast<Id>(pieces_.size()));
        if (is_new) pieces_.push_back(place->first);
        return place->second;
    }

    void join(Pair pair) {
        const Id left = static_cast<Id>(pair >> 32U), right = static_cast<Id>(pair);
        const Id joined = piece_of(left, right);
        const std::vector<std::uint32_t> words = std::move(pairs_[pair].words);
        for (const std::uint32_t word : words) join_in_word(word, left, right, joined);
        pairs_.erase(pair);
        queue_changed_pairs();
    }

    void queue_changed_pairs() {
        for (const Pair pair : changed_) {
            const auto use = pairs_.find(pair);
            if (use == pairs_.end()) continue;
            use->second.changed = false;
            if (use->second.count > 0) queue_.push({use->second.count, pair});
        }
        changed_.clear();
    }

    void join_in_word(std::uint32_t word, Id left, Id right, Id joined) {
        Id* symbols = symbols_.data() + begins_[word];
        const std::uint32_t length = lengths_[word];
        const std::int64_t count = words_[word].second;
        std::uint32_t kept = 0;
        for (std::uint32_t i = 0; i < length; ++i) {
            if (i + 1 == length || symbols[i] != left || symbols[i + 1] != right) {
                symbols[kept++] = symbols[i];
                continue;
            }
            if (kept > 0) {
                remove(pair_of(symbols[kept - 1], left), count);
                add(pair_of(symbols[kept - 1], joined), word, count);
            }
            if (i + 2 < length) {
                remove(pair_of(right, symbols[i + 2]), count);
                add(pair_of(joined, symbols[i + 2]), word, count);
            }
            symbols[kept++] = joined;
            ++i;
        }
        lengths_[word] = kept;
    }

    std::span<const WordCount> words_;
    std::vector<std::string>& pieces_;
    std::unordered_map<std::string, Id> id_of_;
    std::vector<Id>
        symbols_;  // of all words, one after the other; joined ones leave free places at the end of their word
    std::vector<std::size_t> begins_;
    std::vector<std::uint32_t> lengths_;
    std::unordered_map<Pair, PairUse, PairHash> pairs_;
    std::vector<Pair> changed_;  // pairs that became commoner in the merge at hand
    std::priority_queue<Candidate> queue_;
};

}  // namespace

void learn_pieces(std::span<const WordCount> words, std::int64_t vocab_size, std::vector<std::string>& pieces,
                  ThrottledProgress& progress) {
    PieceLearner(words, pieces).learn(static_cast<std::size_t>(vocab_size), progress);
}

}  // namespace locus
