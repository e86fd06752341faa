#include "data/basic_tokenizer.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "data/character_class.h"
#include "data/error.h"

namespace locus {
namespace {

constexpr char32_t capital_i_with_dot = 0x130, dot_above = 0x307;

/// Sends the normalised characters of a text to `sink`, in order.
template <typename Sink>
class Normaliser {
public:
    Normaliser(const Normalisation& rules, Sink& sink) : rules_(rules), sink_(sink), classes_(character_classes()) {}

    void run(std::string_view text) {
        std::size_t at = 0;
        while (at < text.size()) {
            const auto byte = static_cast<unsigned char>(text[at]);
            if (byte < 0x80) {
                ascii(byte);
                ++at;
                continue;
            }
            const CodePoint point = code_point_at(text, at);
            if (point.length == 0) throw DataError(fmt::format("invalid UTF-8 at byte {} of the text", at));
            other(point.value);
            at += static_cast<std::size_t>(point.length);
        }
        release_marks();
    }

private:
    void ascii(unsigned char c) {
        if (rules_.clean_text) {
            if ((classes_[c] & class_removed) != 0) return;
            if ((classes_[c] & class_space) != 0) c = ' ';
        }
        release_marks();
        if (rules_.lowercase && c >= 'A' && c <= 'Z') c = static_cast<unsigned char>(c + ('a' - 'A'));
        sink_(c);
    }

    void other(char32_t c) {
        const std::uint8_t classes = classes_[c];
        if (rules_.clean_text && (classes & (class_removed | class_space)) != 0) {
            if ((classes & class_removed) == 0) ascii(' ');
            return;
        }
        const bool apart = rules_.split_chinese && (classes & class_chinese) != 0;
        if (apart) ascii(' ');
        if (rules_.strip_accents) {
            decompose(c);
        } else {
            lower(c);
        }
        if (apart) ascii(' ');
    }

    void decompose(char32_t c) {
        if (c > 0xFFFF && (classes_[c] & class_astral_decomposition) == 0) {
            strip(c);
            return;
        }
        std::array<utf8proc_int32_t, 8> parts;  // NFD of one character has four at most
        int last_boundary = 0;
        const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts.data(), parts.size(),
                                                   UTF8PROC_DECOMPOSE, &last_boundary);
        for (utf8proc_ssize_t i = 0; i < count; ++i) strip(static_cast<char32_t>(parts[static_cast<std::size_t>(i)]));
    }

    /// Drops accents and puts the marks that stay in canonical order. utf8proc would sort a long run of marks in
    /// quadratic time.
    void strip(char32_t c) {
        const std::uint8_t classes = classes_[c];
        if ((classes & (class_accent | class_combining)) == 0) {
            release_marks();
            lower(c);
            return;
        }
        const int order = utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class;
        if (order == 0) release_marks();
        if ((classes & class_combining) != 0) marks_.push_back({order, c});
    }

    void release_marks() {
        if (marks_.empty()) return;
        std::stable_sort(marks_.begin(), marks_.end(), [](const Mark& a, const Mark& b) { return a.order < b.order; });
        for (const Mark& mark : marks_) lower(mark.character);
        marks_.clear();
    }

    void lower(char32_t c) {
        if (!rules_.lowercase) {
            sink_(c);
            return;
        }
        sink_(lower_case(c));
        if (c == capital_i_with_dot) sink_(dot_above);
    }

    struct Mark {
        int order;  // canonical combining class
        char32_t character;
    };

    const Normalisation rules_;
    Sink& sink_;
    const std::uint8_t* classes_;
    std::vector<Mark> marks_;  // waiting for the next character that is not a mark
};

/// Collects characters into words.
class WordCollector {
public:
    WordCollector(std::int64_t longest_word, const WordVisitor& visit)
        : longest_(longest_word), visit_(visit), classes_(character_classes()) {}

    void operator()(char32_t c) {
        const std::uint8_t classes = classes_[c];
        if ((classes & (class_space | class_punctuation)) == 0) {
            append(c);
            return;
        }
        release();
        if ((classes & class_space) == 0) {
            append(c);
            release();
        }
    }

    void release() {
        if (characters_ == 0) return;
        visit_(word_, characters_);
        word_.clear();
        characters_ = 0;
    }

private:
    void append(char32_t c) {
        if (characters_ > longest_) return;
        ++characters_;
        if (c < 0x80) {
            word_.push_back(static_cast<char>(c));
        } else {
            append_utf8(word_, c);
        }
    }

    const std::int64_t longest_;
    const WordVisitor& visit_;
    const std::uint8_t* classes_;
    std::string word_;
    std::int64_t characters_ = 0;
};

}  // namespace

void split_words(std::string_view text, const Normalisation& rules, std::int64_t longest_word,
                 const WordVisitor& visit) {
    WordCollector words(longest_word, visit);
    Normaliser<WordCollector>(rules, words).run(text);
    words.release();
}

void normalise_characters(std::string_view text, const Normalisation& rules,
                          const std::function<void(char32_t)>& visit) {
    Normaliser<const std::function<void(char32_t)>>(rules, visit).run(text);
}

void append_utf8(std::string& text, char32_t c) {
    std::array<utf8proc_uint8_t, 4> bytes;
    const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
    text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(count));
}

CodePoint code_point_at(std::string_view text, std::size_t at) {
    utf8proc_int32_t value = 0;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at;
    const auto length = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - at), &value);
    if (length <= 0) return {0, 0};
    return {static_cast<char32_t>(value), length};
}

}  // namespace locus
