#pragma once
// The commands of the program: what each is asked to do, as plain data, and the function that does it. command_line.h reads the one and calls
// the other. Each returns an exit code and throws the errors of error.h.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/settings.h"

namespace locus {

/// locus train CONFIG [--set key=value ...] [--resume] [--dry-run]
struct TrainCommand {
    std::string configuration;
    std::vector<std::string> overrides;
    bool resume = false;
    bool dry_run = false;  // reads and checks everything, prints the plan, trains nothing
};
int run_train(const TrainCommand& command);

/// locus evaluate MODEL --text FILE... [--lengths 64,128] [--csv OUT]: without --lengths the loss as training validates, with it that of the paired
/// protocol (length_evaluation.h), whose settings the fields from `schemes` on are. A model that was trained on a probe is evaluated on that, without
/// text (probe_evaluation.h).
struct EvaluateCommand {
    std::string model;
    std::vector<std::string> text;
    std::vector<std::int64_t> lengths;
    std::string csv;           // empty: into the run folder, where MODEL is one and lengths are given
    std::int64_t samples = 0;  // windows, or without lengths sequences; 0: all, or without lengths as in training
    std::int64_t threads = 0;
    std::string device = "auto";
    std::vector<std::string> schemes;  // empty: both
    std::string boundary;              // empty: as in training
    double mask_probability = 0.15;
    std::vector<std::string> beyond;
    std::uint32_t seed = 0;
    std::int64_t window = 0, shift = 0;
    bool logn = false;
    std::string targets;  // file for the loss of every target; empty: none
};
int run_evaluate(const EvaluateCommand& command);

/// locus fill MODEL TEXT [--top 5]
struct FillCommand {
    std::string model, text;
    std::int64_t top = 5;
    std::int64_t threads = 0;
    std::string device = "auto";
};
int run_fill(const FillCommand& command);

/// locus explain MODEL TEXT [--layer L] [--head H] [--query TOKEN] [--csv OUT] [--device D], or locus explain --toy [ENCODING]
struct ExplainCommand {
    std::string model, text;
    std::optional<std::int64_t> layer;  // absent: the last
    std::int64_t head = 0;
    std::string query;  // a row of the text or a token; empty: the first [MASK], else the middle
    std::string csv;
    bool toy = false;      // a worked example instead of a model
    std::string encoding;  // of the example; empty: the default one
    std::int64_t threads = 0;
    std::string device = "auto";
};
int run_explain(const ExplainCommand& command);

/// locus forward MODEL --input IN.safetensors --output OUT.safetensors
struct ForwardCommand {
    std::string model, input, output;
    std::int64_t threads = 0;
    std::string device = "auto";
};
int run_forward(const ForwardCommand& command);

/// locus tokenizer train FILES... --output DIR
struct TokenizerTrainCommand {
    std::vector<std::string> files;
    std::string output;
    std::string type = "wordpiece";
    std::int64_t vocab_size = 8192;
    bool cased = false;         // keep capitals
    bool keep_accents = false;  // keep accents
    bool join_chinese = false;  // do not make each Chinese character a word
    double character_coverage = TokenizerSettings().character_coverage;
    std::string encoding = "utf8", invalid_utf8 = "error", field = "text";
    std::int64_t threads = 0;
};
int run_tokenizer_train(const TokenizerTrainCommand& command);

/// locus tokenizer encode TOKENIZER [TEXT] [--ids | --summary]: lines of standard input when there is no text
struct TokenizerEncodeCommand {
    std::string tokenizer, text;
    bool has_text = false;
    bool ids = false;      // numbers instead of tokens
    bool summary = false;  // how many tokens, and how fast, instead of them
};
int run_tokenizer_encode(const TokenizerEncodeCommand& command);

/// locus tokenizer decode TOKENIZER [IDS...]: lines of standard input when there are no ids
struct TokenizerDecodeCommand {
    std::string tokenizer;
    std::vector<std::int64_t> ids;
};
int run_tokenizer_decode(const TokenizerDecodeCommand& command);

/// locus info CONFIG|MODEL
struct InfoCommand {
    std::string subject;
    std::vector<std::string> overrides;  // of a CONFIG
};
int run_info(const InfoCommand& command);

/// locus bench CONFIG [--steps N] [--inference] [--beside key=value ...] [--set key=value ...] [--json]: the speed of training steps, and where their time goes (phase_table.h)
struct BenchCommand {
    std::string configuration;
    std::vector<std::string> overrides;
    std::int64_t steps = 20;
    std::int64_t warmup = 3;               // steps before the measured ones
    bool corpus = false;                   // the configuration's own text instead of random tokens
    bool inference = false;                // the passes without a backward pass too
    std::vector<std::string> beside = {};  // further overrides of a second model, stepped in turns with the first
    bool json = false;
};
int run_bench(const BenchCommand& command);

/// locus compare CONFIG [--budget 50m] [--only BLOCK,...] [--set key=value ...] [--dry-run]
struct CompareCommand {
    std::string configuration;
    std::vector<std::string> overrides;
    std::string budget;             // a duration; empty: that of an earlier session, else none
    std::vector<std::string> only;  // blocks to work on; empty: all. The others stay in the tables as they are
    bool dry_run = false;           // prints the plan, trains nothing
};
int run_compare(const CompareCommand& command);

}  // namespace locus
