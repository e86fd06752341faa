#pragma once
// WordPiece: each word from left to right into the longest pieces of the vocabulary; "##" marks a piece that
// continues a word. A word without such a division, or longer than the limit, is [UNK] as a whole.
//
// cost      one hash look-up per byte tried; longest_word^2 at worst per word, so linear in the text
// source    Devlin et al. 2019, arXiv:1810.04805; equal to Hugging Face's BertTokenizerFast id for id

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"
#include "data/tokenizer_files.h"

namespace locus {

class WordPieces {
public:
    /// `vocabulary` by id.
    WordPieces(const std::vector<std::string>& vocabulary, std::int32_t unknown, std::int64_t longest_word);

    /// Appends the ids of one normalised word, which has `characters` characters.
    void encode_word(std::string_view word, std::int64_t characters, std::vector<std::int32_t>& ids) const;

private:
    struct Edge {
        std::uint32_t from = 0, byte = 0, to = 0;  // to == 0: free
    };

    std::size_t slot(std::uint32_t from, std::uint32_t byte) const;
    std::uint32_t child(std::uint32_t from, unsigned char byte) const { return edges_[slot(from, byte)].to; }
    void insert(std::uint32_t node, std::string_view piece, std::int32_t id);
    void grow();

    static constexpr std::uint32_t first_root = 1, continuation_root = 2;
    std::vector<Edge> edges_;                       // of a trie over bytes, in an open hash table
    std::vector<std::int32_t> ids_ = {-1, -1, -1};  // by node; -1: no piece ends here
    std::size_t edge_count_ = 0;
    std::int32_t unknown_;
    std::int64_t longest_word_;
};

/// Throws DataError when the description cannot be a WordPiece vocabulary.
std::unique_ptr<Tokenizer> make_wordpiece_tokenizer(TokenizerDescription description);

}  // namespace locus
