#include "data/parallel_encoding.h"

#include <omp.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "data/throttled_progress.h"

namespace locus {
namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 17U;

/// Paragraphs that one thread tokenises at a time, and what it made of them.
struct Block {
    struct Paragraph {
        std::size_t end;  // in text
        bool begins_document;
    };
    std::string text;
    std::vector<Paragraph> paragraphs;

    std::vector<std::int32_t> ids;
    std::vector<std::size_t> document_starts;  // in ids
    std::exception_ptr error;

    void encode(const Tokenizer& tokenizer) {
        std::size_t begin = 0;
        for (const Paragraph& paragraph : paragraphs) {
            if (paragraph.begins_document) document_starts.push_back(ids.size());
            tokenizer.encode(std::string_view(text).substr(begin, paragraph.end - begin), ids);
            begin = paragraph.end;
        }
    }

    void write(ShardWriter& writer) const {
        const std::span<const std::int32_t> all(ids);
        std::size_t begin = 0;
        for (const std::size_t start : document_starts) {
            writer.add(all.subspan(begin, start - begin));
            writer.begin_document();
            begin = start;
        }
        writer.add(all.subspan(begin));
    }
};

/// Blocks that are tokenised together, and how far the reader was when they were full.
struct Round {
    std::vector<Block> blocks;
    std::int64_t done = 0, total = 0;
};

/// Hands rounds from the reading thread to the tokenising one; two wait at most.
class Rounds {
public:
    /// False when the other side has given up.
    bool push(Round round) {
        std::unique_lock guard(mutex_);
        changed_.wait(guard, [&] { return waiting_.size() < 2 || closed_; });
        if (closed_) return false;
        waiting_.push_back(std::move(round));
        changed_.notify_all();
        return true;
    }
    /// Nothing after the last one.
    std::optional<Round> pop() {
        std::unique_lock guard(mutex_);
        changed_.wait(guard, [&] { return !waiting_.empty() || closed_; });
        if (waiting_.empty()) return std::nullopt;
        Round round = std::move(waiting_.front());
        waiting_.pop_front();
        changed_.notify_all();
        return round;
    }
    void close() {
        const std::lock_guard guard(mutex_);
        closed_ = true;
        changed_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Round> waiting_;
    bool closed_ = false;
};

struct Abandoned {};  // unwinds the reading thread when the other side has given up

/// The reading thread. Its destructor ends it, whatever it is doing.
class Reader {
public:
    Reader(const std::vector<std::filesystem::path>& files, const DataSettings& settings, std::size_t blocks)
        : thread_([this, &files, &settings, blocks] { run(files, settings, blocks); }) {}
    ~Reader() {
        rounds_.close();
        if (thread_.joinable()) thread_.join();
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    std::optional<Round> next() { return rounds_.pop(); }
    /// After the last round: what was read. Throws what stopped the reading.
    CorpusStatistics result() {
        thread_.join();
        if (error_) std::rethrow_exception(error_);
        return statistics_;
    }

private:
    void run(const std::vector<std::filesystem::path>& files, const DataSettings& settings, std::size_t blocks) {
        try {
            Round round;
            round.blocks.emplace_back();
            const auto hand_over = [&] {
                Round next;
                next.blocks.emplace_back();
                next.done = round.done;
                next.total = round.total;
                if (!rounds_.push(std::exchange(round, std::move(next)))) throw Abandoned();
            };
            const auto take = [&](std::string_view text, bool begins_document) {
                if (round.blocks.back().text.size() >= block_bytes) {
                    if (round.blocks.size() == blocks)
                        hand_over();
                    else
                        round.blocks.emplace_back();
                }
                Block& block = round.blocks.back();
                block.text += text;
                block.paragraphs.push_back({block.text.size(), begins_document});
            };
            const auto position = [&](std::string_view, std::int64_t done, std::int64_t total) {
                round.done = done;
                round.total = total;
            };
            statistics_ = read_corpus(files, settings, take, position);
            round.done = round.total;
            hand_over();
        } catch (const Abandoned&) {
        } catch (...) {
            error_ = std::current_exception();
        }
        rounds_.close();
    }

    Rounds rounds_;
    CorpusStatistics statistics_;
    std::exception_ptr error_;
    std::thread thread_;  // last: it uses the rest
};

void encode(Round& round, const Tokenizer& tokenizer) {
    const auto count = static_cast<std::int64_t>(round.blocks.size());
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t i = 0; i < count; ++i) {
        Block& block = round.blocks[static_cast<std::size_t>(i)];
        try {
            block.encode(tokenizer);
        } catch (...) {
            block.error = std::current_exception();
        }
    }
}

}  // namespace

CorpusStatistics encode_corpus(const std::vector<std::filesystem::path>& files, const DataSettings& settings,
                               const Tokenizer& tokenizer, ShardWriter& writer, const ProgressReport& progress) {
    ThrottledProgress report(progress);
    Reader reader(files, settings, 4 * static_cast<std::size_t>(omp_get_max_threads()));
    while (std::optional<Round> round = reader.next()) {
        encode(*round, tokenizer);
        for (const Block& block : round->blocks) {
            if (block.error) std::rethrow_exception(block.error);
            block.write(writer);
        }
        report("tokenising", round->done, round->total);
    }
    return reader.result();
}

}  // namespace locus
