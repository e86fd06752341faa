#pragma once
// One token per byte: no text is unknown, and the vocabulary is 5 special tokens and 256 bytes.
//
// In files a byte is written as one printable character, as GPT-2 does: the printable bytes of Latin-1 stand for
// themselves, the 68 others for U+0100 onwards in order (a space is U+0120).
// source    Radford et al. 2019 (GPT-2); Xue et al. 2022, arXiv:2105.13626 (ByT5)

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "data/tokenizer_files.h"

namespace locus {

/// The characters that stand for bytes 0..255.
const std::vector<std::string>& byte_symbols();

/// Ids 0..4 special, then bytes in order.
TokenizerDescription byte_tokenizer_description();

/// Throws DataError when the vocabulary lacks a byte.
std::unique_ptr<Tokenizer> make_byte_tokenizer(TokenizerDescription description);

}  // namespace locus
