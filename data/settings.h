#pragma once
// Where the text comes from, or what a probe asks, and how it becomes batches, as plain data.

#include <cstdint>
#include <map>
#include <string>
#include <variant>
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

using ProbeOptionValue = std::variant<std::int64_t, std::string, std::vector<std::int64_t>>;

/// A synthetic task instead of text (data/probes/probe.h).
struct ProbeSettings {
    std::string name;  // empty: none
    std::uint32_t seed = 1;
    std::map<std::string, ProbeOptionValue> options;  // that the probe declares, all of them present
    std::int64_t train_length = 0;  // of training sequences, without [CLS] and [SEP]; follows from the rest
};

struct DataSettings {
    std::vector<std::string> train, valid;  // files and globs: .txt, .txt.zst, .jsonl, .jsonl.zst
    SyntheticSettings synthetic;            // instead of files
    ProbeSettings probe;                    // instead of text
    std::string field = "text";             // of .jsonl
    std::string invalid_utf8 = "error";     // error | replace | skip_line
    std::string encoding = "utf8";          // utf8 | gb18030
    TokenizerSettings tokenizer;
    std::int64_t sequence_length = 128;
    std::string boundary = "cls_sep";  // cls_sep | none; a probe's default is none
    MaskingSettings masking;
};

}  // namespace locus
