#include "data/wordpiece.h"

#include "data/vocabulary.h"

namespace locus {

WordPieces::WordPieces(const std::vector<std::string>& vocabulary, std::int32_t unknown, std::int64_t longest_word)
    : edges_(1024), unknown_(unknown), longest_word_(longest_word) {
    for (std::size_t i = 0; i < vocabulary.size(); ++i) {
        const std::string_view piece = vocabulary[i];
        const auto id = static_cast<std::int32_t>(i);
        if (is_continuation(piece)) {
            insert(continuation_root, piece.substr(2), id);
        } else {
            insert(first_root, piece, id);
        }
    }
}

std::size_t WordPieces::slot(std::uint32_t from, std::uint32_t byte) const {
    const std::size_t mask = edges_.size() - 1;
    const std::uint64_t key = (std::uint64_t{from} << 8U) | byte;
    std::size_t at = static_cast<std::size_t>((key * 0x9E3779B97F4A7C15ULL) >> 32U) & mask;
    while (edges_[at].to != 0 && (edges_[at].from != from || edges_[at].byte != byte)) at = (at + 1) & mask;
    return at;
}

void WordPieces::grow() {
    std::vector<Edge> old(edges_.size() * 2);
    old.swap(edges_);
    for (const Edge& edge : old) {
        if (edge.to != 0) edges_[slot(edge.from, edge.byte)] = edge;
    }
}

void WordPieces::insert(std::uint32_t node, std::string_view piece, std::int32_t id) {
    for (const char c : piece) {
        const auto byte = static_cast<unsigned char>(c);
        std::size_t at = slot(node, byte);
        if (edges_[at].to == 0) {
            if (++edge_count_ * 2 > edges_.size()) {
                grow();
                at = slot(node, byte);
            }
            edges_[at] = {node, byte, static_cast<std::uint32_t>(ids_.size())};
            ids_.push_back(-1);
        }
        node = edges_[at].to;
    }
    ids_[node] = id;
}

void WordPieces::encode_word(std::string_view word, std::int64_t characters, std::vector<std::int32_t>& ids) const {
    const std::size_t before = ids.size();
    std::size_t begin = characters > longest_word_ ? word.size() : 0;
    while (begin < word.size()) {
        std::uint32_t node = begin == 0 ? first_root : continuation_root;
        std::int32_t longest = -1;
        std::size_t end = begin;
        for (std::size_t at = begin; at < word.size(); ++at) {
            node = child(node, static_cast<unsigned char>(word[at]));
            if (node == 0) break;
            if (ids_[node] >= 0) {
                longest = ids_[node];
                end = at + 1;
            }
        }
        if (longest < 0) {
            ids.resize(before);
            break;
        }
        ids.push_back(longest);
        begin = end;
    }
    if (ids.size() == before) ids.push_back(unknown_);
}

namespace {

class WordPieceTokenizer final : public VocabularyTokenizer {
public:
    explicit WordPieceTokenizer(TokenizerDescription description)
        : VocabularyTokenizer(std::move(description)),
          pieces_(description_.tokens, description_.special.unknown, description_.longest_word) {}

    void encode(std::string_view text, std::vector<std::int32_t>& ids) const override {
        split_words(
            text, description_.rules, description_.longest_word,
            [&](std::string_view word, std::int64_t characters) { pieces_.encode_word(word, characters, ids); });
    }

    std::string decode(std::span<const std::int32_t> ids) const override {
        std::string text;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            const std::string piece = token(ids[i]);
            if (i == 0) {
                text = piece;
            } else if (piece.starts_with("##")) {
                text.append(piece, 2);
            } else {
                text.append(" ").append(piece);
            }
        }
        return text;
    }

    bool continues_word(std::int32_t id) const override { return is_continuation(entry(id)); }

private:
    WordPieces pieces_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_wordpiece_tokenizer(TokenizerDescription description) {
    return std::make_unique<WordPieceTokenizer>(std::move(description));
}

}  // namespace locus
