// locus tokenizer: vocabularies from text, text to tokens, tokens to text.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <string>

#include <fmt/core.h>
#include <fmt/format.h>

#include "data/error.h"
#include "data/tokenizer_training.h"
#include "data/utf8.h"
#include "train/commands.h"
#include "train/error.h"
#include "train/model_folder.h"
#include "train/plan.h"
#include "train/progress_line.h"
#include "train/threads.h"

namespace locus {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

bool has_tokenizer(const fs::path& folder) {
    return fs::exists(folder / "tokenizer.json") || fs::exists(folder / "vocab.txt");
}

/// A tokenizer folder, or what else MODEL may be on the command line.
std::unique_ptr<Tokenizer> find_tokenizer(const fs::path& folder) {
    if (!fs::exists(folder)) throw FileError(fmt::format("{}: there is no such folder", folder.string()));
    return load_tokenizer(has_tokenizer(folder) ? folder : resolve_model_folder(folder));
}

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// "1.332 s, 17.1 MB/s", and for no text "0.001 s".
std::string time_text(double seconds, std::int64_t bytes) {
    const std::string time = fmt::format("{:.3f} s", seconds);
    return bytes == 0 ? time : fmt::format("{}, {:.1f} MB/s", time, static_cast<double>(bytes) / 1e6 / seconds);
}

void print_report(const VocabularyReport& report, const Tokenizer& tokenizer) {
    fmt::print("vocabulary         {} tokens, {} of them special\n", with_separators(tokenizer.vocab_size()), 5);
    if (report.words > 0) {
        fmt::print("text               {} words, {} of them distinct\n", with_separators(report.words),
                   with_separators(report.distinct_words));
    }
    if (report.characters_in_text > 0) {
        fmt::print("alphabet           {} of the text's {} characters, which cover {:.4f}% of it\n",
                   with_separators(report.alphabet), with_separators(report.characters_in_text),
                   100 * report.character_coverage);
    }
    fmt::print("unknown            {:.4f}% of the tokens become {}\n", 100 * report.unknown_rate,
               tokenizer.token(tokenizer.special().unknown));
    for (const auto& [character, count] : report.commonest_unknown) {
        fmt::print("  {:<6} {:>12} times\n", character, with_separators(count));
    }
}

/// Calls `handle` with each line of standard input, without its line end, and the line's number.
template <class Handle>
void for_each_input_line(const Handle& handle) {
    std::string line;
    for (std::int64_t number = 1; std::getline(std::cin, line); ++number) {
        if (!line.empty() && line.back() == '\r') line.pop_back();
        handle(line, number);
    }
}

void print_tokens(const Tokenizer& tokenizer, const std::string& text, bool ids_only) {
    std::vector<std::int32_t> ids;
    tokenizer.encode_with_specials(text, ids);
    std::string line;
    for (const std::int32_t id : ids) {
        if (!line.empty()) line += ' ';
        line += ids_only ? std::to_string(id) : tokenizer.token(id);
    }
    fmt::print("{}\n", line);
}

/// What encoding a text comes to; reading the text is not part of its time.
class EncodingSummary {
public:
    explicit EncodingSummary(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

    void add(const std::string& line) {
        ids_.clear();
        const Clock::time_point begin = Clock::now();
        tokenizer_.encode_with_specials(line, ids_);
        seconds_ += seconds_since(begin);
        ++lines_;
        bytes_ += static_cast<std::int64_t>(line.size());
        tokens_ += static_cast<std::int64_t>(ids_.size());
        unknown_ += std::count(ids_.begin(), ids_.end(), tokenizer_.special().unknown);
    }

    void print() const {
        const double tokens = static_cast<double>(std::max<std::int64_t>(1, tokens_));
        fmt::print("text               {} bytes in {} lines\n", with_separators(bytes_), with_separators(lines_));
        fmt::print("tokens             {}, of {:.2f} bytes each; {:.4f}% of them are {}\n", with_separators(tokens_),
                   static_cast<double>(bytes_) / tokens, 100 * static_cast<double>(unknown_) / tokens,
                   tokenizer_.token(tokenizer_.special().unknown));
        fmt::print("time               {} with 1 thread\n", time_text(seconds_, bytes_));
    }

private:
    const Tokenizer& tokenizer_;
    std::vector<std::int32_t> ids_;
    std::int64_t lines_ = 0, bytes_ = 0, tokens_ = 0, unknown_ = 0;
    double seconds_ = 0;
};

/// Why `id` is none of the vocabulary; empty when it is.
std::string check_id(std::int64_t id, const Tokenizer& tokenizer) {
    if (id >= 0 && id < tokenizer.vocab_size()) return {};
    return fmt::format("the id {} is not in the vocabulary, which has 0 to {}", id, tokenizer.vocab_size() - 1);
}

std::vector<std::int32_t> parse_ids(const std::string& line, std::int64_t number, const Tokenizer& tokenizer) {
    std::vector<std::int32_t> ids;
    std::istringstream words(line);
    for (std::int64_t id = 0; words >> id;) {
        const std::string error = check_id(id, tokenizer);
        if (!error.empty()) throw DataError(fmt::format("standard input, line {}: {}", number, error));
        ids.push_back(static_cast<std::int32_t>(id));
    }
    if (!words.eof())
        throw DataError(fmt::format("standard input, line {}: expects token ids with spaces between them", number));
    return ids;
}

}  // namespace

int run_tokenizer_train(const TokenizerTrainCommand& command) {
    const int threads = use_threads(command.threads);
    TokenizerSettings settings;
    settings.type = command.type;
    settings.vocab_size = command.vocab_size;
    settings.lowercase = !command.cased;
    settings.strip_accents = !command.keep_accents;
    settings.split_chinese = !command.join_chinese;
    settings.character_coverage = command.character_coverage;
    DataSettings data;
    data.train = command.files;
    data.encoding = command.encoding;
    data.invalid_utf8 = command.invalid_utf8;
    data.field = command.field;
    if (has_tokenizer(command.output)) {
        throw ConfigurationError(fmt::format(
            "--output {}: there is a tokenizer already; name another folder, or remove it", command.output));
    }
    const Clock::time_point begin = Clock::now();
    const TrainedTokenizer trained = train_tokenizer(settings, expand_patterns(command.files), data,
                                                     [](std::string_view what, std::int64_t done, std::int64_t total) {
                                                         ProgressLine::show_activity(std::string(what), done, total);
                                                     });
    const double seconds = seconds_since(begin);
    ProgressLine::clear();
    fs::create_directories(command.output);
    trained.tokenizer->save(command.output);
    print_report(trained.report, *trained.tokenizer);
    fmt::print("time               {} with {} thread{}\n", time_text(seconds, trained.report.bytes), threads,
               threads == 1 ? "" : "s");
    fmt::print("written to         {}\n", command.output);
    return exit_done;
}

int run_tokenizer_encode(const TokenizerEncodeCommand& command) {
    const std::unique_ptr<Tokenizer> tokenizer = find_tokenizer(command.tokenizer);
    EncodingSummary summary(*tokenizer);
    const auto encode = [&](const std::string& text) {
        if (command.summary) {
            summary.add(text);
        } else {
            print_tokens(*tokenizer, text, command.ids);
        }
    };
    if (command.has_text) {
        if (first_invalid_utf8(command.text) != command.text.size())
            throw ConfigurationError("the text is not valid UTF-8");
        encode(command.text);
    } else {
        for_each_input_line([&](const std::string& line, std::int64_t number) {
            const std::size_t invalid = first_invalid_utf8(line);
            if (invalid != line.size())
                throw DataError(fmt::format("standard input, line {}, byte {}: not valid UTF-8", number, invalid + 1));
            encode(line);
        });
    }
    if (command.summary) summary.print();
    return exit_done;
}

int run_tokenizer_decode(const TokenizerDecodeCommand& command) {
    const std::unique_ptr<Tokenizer> tokenizer = find_tokenizer(command.tokenizer);
    if (!command.ids.empty()) {
        for (const std::int64_t id : command.ids) {
            const std::string error = check_id(id, *tokenizer);
            if (!error.empty()) throw ConfigurationError(error);
        }
        fmt::print("{}\n", tokenizer->decode(std::vector<std::int32_t>(command.ids.begin(), command.ids.end())));
        return exit_done;
    }
    for_each_input_line([&](const std::string& line, std::int64_t number) {
        fmt::print("{}\n", tokenizer->decode(parse_ids(line, number, *tokenizer)));
    });
    return exit_done;
}

}  // namespace locus
