#pragma once
// Where the text comes from and how it becomes batches, as plain data.

#include <cstdint>
#include <string>
#include <vector>

namespace locus {

struct TokenizerSettings {
    std::string path;                // an existing tokenizer folder (Hugging Face files); the rest is then unused
    std::string type = "wordpiece";  // wordpiece | bytes | characters
    std::int64_t vocab_size = 8192;  // asked for; bytes: ignored by nature (256 + specials)
    bool lowercase = true;
    bool strip_accents = true;           // BERT ties it to lowercase; here it is a key of its own
    bool split_chinese = true;           // CJK characters are words of their own
    double character_coverage = 0.9999;  // share of the characters of the text that the alphabet must cover
};

struct MaskingSettings {
    double probability = 0.15;
    double mask = 0.8, random = 0.1, keep = 0.1;  // of the chosen; add up to 1
    std::string unit = "token";                   // token | whole_word | span
    std::int64_t longest_span = 3;                // for unit: span
};

/// The embedded corpus generator.
struct SyntheticSettings {
    bool enabled = false;
    std::string language = "english";  // english | chinese
    std::int64_t megabytes = 8;        // of training text; validation text is a twentieth of it, from other documents
    std::uint32_t seed = 1;
};

struct DataSettings {
    std::vector<std::string> train, valid;  // files and globs: .txt, .txt.zst, .jsonl, .jsonl.zst
    SyntheticSettings synthetic;            // instead of files
    std::string field = "text";             // of .jsonl
    std::string invalid_utf8 = "error";     // error | replace | skip_line
    std::string encoding = "utf8";          // utf8 | gb18030
    TokenizerSettings tokenizer;
    std::int64_t sequence_length = 128;
    std::string boundary = "cls_sep";  // cls_sep | none
    MaskingSettings masking;
};

}  // namespace locus
