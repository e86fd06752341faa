#include "train/configuration/schema.h"

#include <utility>

#include <fmt/format.h>

#include "train/configuration/values.h"
#include "train/device_name.h"

namespace locus {

namespace {

constexpr double int32_max = 2147483647.0, uint32_max = 4294967295.0, int64_max = 0x1p53;

Allowed between(double low, double high) { return {.low = low, .high = high}; }
Allowed at_least(double low) { return between(low, int64_max); }
Allowed above(double low) { return {.low = low, .low_excluded = true}; }
Allowed from(double low) { return {.low = low}; }
Allowed share() { return between(0, 1); }
Allowed positive_share() { return {.low = 0, .high = 1, .low_excluded = true}; }
Allowed below_one() { return {.low = 0, .high = 1, .high_excluded = true}; }
Allowed one_of(std::vector<std::string> choices) { return {.choices = std::move(choices)}; }
Allowed path() { return {.is_path = true}; }
Allowed any() { return {}; }

using Keys = std::vector<ConfigurationKey>;

void add_run(Keys& keys, RunSettings& run) {
    keys.push_back({"run.name", &run.name, any(), "names the run folder; default: the stem of this file"});
    keys.push_back({"run.directory", &run.directory, path(), "the run folder is directory/name"});
    keys.push_back({"run.seed", &run.seed, between(0, uint32_max), "of initialisation, order, masks and dropout"});
    keys.push_back({"run.device", &run.device, one_of(device_names()), "auto, cpu, cuda or simt"});
    keys.push_back({"run.precision", &run.precision, one_of({"float32", "float64", "bfloat16", "tf32"}),
                    "of the arithmetic; tf32 on a GPU"});
    keys.push_back({"run.threads", &run.threads, between(0, 4096), "0: all cores that the process may use"});
}

void add_tokenizer(Keys& keys, TokenizerSettings& tokenizer) {
    const std::string section = "data.tokenizer.";
    keys.push_back(
        {section + "path", &tokenizer.path, path(), "an existing tokenizer folder, instead of training one"});
    keys.push_back(
        {section + "type", &tokenizer.type, one_of({"wordpiece", "bytes", "characters"}), "kind of vocabulary"});
    keys.push_back({section + "vocab_size", &tokenizer.vocab_size, between(16, 10'000'000), "entries at most"});
    keys.push_back({section + "lowercase", &tokenizer.lowercase, any(), "fold capitals"});
    keys.push_back({section + "strip_accents", &tokenizer.strip_accents, any(), "remove accents"});
    keys.push_back(
        {section + "split_chinese", &tokenizer.split_chinese, any(), "Chinese characters are words of their own"});
    keys.push_back({section + "character_coverage", &tokenizer.character_coverage, positive_share(),
                    "share of the text's characters that the alphabet must cover"});
}

void add_data(Keys& keys, DataSettings& data) {
    keys.push_back({"data.train", &data.train, path(), "files and globs: .txt, .txt.zst, .jsonl, .jsonl.zst"});
    keys.push_back({"data.valid", &data.valid, path(), "the same, held out"});
    keys.push_back(
        {"data.synthetic.language", &data.synthetic.language, one_of({"english", "chinese"}), "of the generator"});
    keys.push_back({"data.synthetic.megabytes", &data.synthetic.megabytes, between(1, 100'000), "of training text"});
    keys.push_back({"data.synthetic.seed", &data.synthetic.seed, between(0, uint32_max), "of the generator"});
    keys.push_back({"data.probe", &data.probe, any(), "a synthetic probe with its options, instead of text"});
    keys.push_back({"data.field", &data.field, any(), "of .jsonl: where the text stands"});
    keys.push_back(
        {"data.invalid_utf8", &data.invalid_utf8, one_of({"error", "replace", "skip_line"}), "what to do with it"});
    keys.push_back({"data.encoding", &data.encoding, one_of({"utf8", "gb18030"}), "of the files"});
    add_tokenizer(keys, data.tokenizer);
    keys.push_back({"data.sequence_length", &data.sequence_length, between(8, 1'048'576), "tokens of a sample"});
    keys.push_back(
        {"data.boundary", &data.boundary, one_of({"cls_sep", "none"}), "[CLS] tokens [SEP], or tokens only"});
    keys.push_back(
        {"data.masking.probability", &data.masking.probability, positive_share(), "share of tokens to predict"});
    keys.push_back({"data.masking.mask", &data.masking.mask, share(), "of these: share that become [MASK]"});
    keys.push_back({"data.masking.random", &data.masking.random, share(), "share that become a random token"});
    keys.push_back({"data.masking.keep", &data.masking.keep, share(), "share that stay"});
    keys.push_back(
        {"data.masking.unit", &data.masking.unit, one_of({"token", "whole_word", "span"}), "what is chosen"});
    keys.push_back({"data.masking.longest_span", &data.masking.longest_span, between(1, 1000),
                    "words, for unit: span; 3 is DeBERTa's n-gram masking"});
}

void add_model(Keys& keys, ModelSettings& model) {
    keys.push_back({"model.architecture", &model.architecture, one_of({"bert", "deberta", "deberta-v2"}),
                    "names of the tensors, and defaults"});
    keys.push_back({"model.layers", &model.layers, between(1, 1000), "transformer blocks"});
    keys.push_back({"model.hidden", &model.hidden, between(1, 65536), "width; a multiple of heads"});
    keys.push_back({"model.heads", &model.heads, between(1, 1024), "attention heads"});
    keys.push_back({"model.feed_forward", &model.feed_forward, between(1, 1'048'576), "width inside a block"});
    keys.push_back({"model.embedding_size", &model.embedding_size, between(0, 65536),
                    "columns of the embedding tables; 0: hidden"});
    keys.push_back(
        {"model.dropout.hidden", &model.hidden_dropout, below_one(), "after embeddings, attention, feed-forward"});
    keys.push_back({"model.dropout.attention", &model.attention_dropout, below_one(), "on the attention weights"});
    keys.push_back({"model.max_length", &model.max_length, between(1, 1'048'576), "rows of a position table"});
    keys.push_back({"model.token_types", &model.token_types, between(0, 1024), "token types (segments)"});
    keys.push_back({"model.layer_norm_epsilon", &model.layer_norm_epsilon, above(0), "inside the square root"});
    keys.push_back(
        {"model.initializer_range", &model.initializer_range, above(0), "standard deviation of fresh weights"});
    keys.push_back(
        {"model.position", &model.position, any(), "a position encoding with its options, or a list of them"});
    keys.push_back({"model.mask_decoder", &model.mask_decoder, one_of({"plain", "enhanced"}),
                    "enhanced: DeBERTa's, which decodes the masked rows with absolute positions"});
    keys.push_back({"model.decoder_passes", &model.decoder_passes, between(1, 64),
                    "of the last block, in the enhanced mask decoder"});
    keys.push_back({"model.convolution.kernel", &model.convolution.kernel, between(0, 63),
                    "taps over the embeddings, beside the first block, odd; 0: none"});
    keys.push_back({"model.convolution.activation", &model.convolution.activation, one_of({"tanh", "gelu"}),
                    "of the convolution"});
    keys.push_back({"model.attention.window", &model.attention.window, between(0, 1'048'576),
                    "a token sees those at most this far away; 0: all"});
    keys.push_back({"model.attention.logn", &model.attention.logn, any(),
                    "scores times log n / log data.sequence_length, n the length of the sequence"});
    keys.push_back({"model.recompute", &model.recompute, any(),
                    "in training, blocks are computed again instead of kept: less memory, the same numbers"});
}

void add_train(Keys& keys, TrainSettings& train) {
    OptimizerSettings& optimizer = train.optimizer;
    ScheduleSettings& schedule = train.schedule;
    keys.push_back(
        {"train.init_from", &train.init_from, path(), "a MODEL whose weights training starts from; empty: none"});
    keys.push_back({"train.steps", &train.steps, between(1, int32_max), "updates of the weights"});
    keys.push_back({"train.max_minutes", &train.max_minutes, from(0), "0: no limit"});
    keys.push_back({"train.batch_size", &train.batch_size, between(1, 1'048'576), "sequences of a micro-batch"});
    keys.push_back({"train.gradient_accumulation", &train.gradient_accumulation, between(1, 1'048'576),
                    "micro-batches of a step"});
    keys.push_back({"train.optimizer.type", &optimizer.type, one_of({"adamw"}), "rule of the update"});
    keys.push_back({"train.optimizer.learning_rate", &optimizer.learning_rate, above(0), "at its peak"});
    keys.push_back(
        {"train.optimizer.betas", NumberPair{&optimizer.beta1, &optimizer.beta2}, below_one(), "decay of the moments"});
    keys.push_back({"train.optimizer.epsilon", &optimizer.epsilon, above(0), "beside the root of the second moment"});
    keys.push_back({"train.optimizer.weight_decay", &optimizer.weight_decay, from(0), "not for biases and norms"});
    keys.push_back({"train.optimizer.clip", &optimizer.clip, from(0), "largest gradient norm; 0: any"});
    keys.push_back({"train.schedule.type", &schedule.type,
                    one_of({"constant", "linear", "cosine", "inverse_sqrt", "warmup_stable_decay"}),
                    "of the learning rate"});
    keys.push_back(
        {"train.schedule.warmup", &schedule.warmup, between(-1, int32_max), "steps; -1: min(200, steps / 10)"});
    keys.push_back({"train.schedule.decay", &schedule.decay, between(-1, int32_max),
                    "steps of the last phase of warmup_stable_decay; -1: steps / 5"});
    keys.push_back(
        {"train.schedule.final_fraction", &schedule.final_fraction, share(), "of the learning rate, at the end"});
    keys.push_back({"train.log_every", &train.log_every, at_least(1), "steps"});
    keys.push_back({"train.evaluate_every", &train.evaluate_every, at_least(0), "steps; 0: at the start and the end"});
    keys.push_back({"train.evaluate_samples", &train.evaluate_samples, at_least(0), "validation samples; 0: all"});
    keys.push_back({"train.checkpoint_every", &train.checkpoint_every, at_least(0), "steps; 0: at the end"});
    keys.push_back({"train.keep_last", &train.keep_last, at_least(0), "checkpoints besides best and latest; 0: all"});
    keys.push_back({"train.early_stop", &train.early_stop, at_least(0), "validations without improvement; 0: never"});
}

}  // namespace

bool Allowed::contains(double value) const {
    const bool low_holds = low_excluded ? value > low : value >= low;
    const bool high_holds = high_excluded ? value < high : value <= high;
    return low_holds && high_holds;
}

std::string Allowed::to_string() const {
    const bool has_low = low > -int64_max, has_high = high < int64_max;
    const std::string lower = fmt::format("{} {}", low_excluded ? "above" : "at least", write_number(low));
    const std::string upper = fmt::format("{} {}", high_excluded ? "below" : "at most", write_number(high));
    if (has_low && has_high) return lower + " and " + upper;
    return has_low ? lower : has_high ? upper : "any number";
}

bool is_text_key(const std::string& path) {
    for (const char* key : {"data.train", "data.valid", "data.field", "data.invalid_utf8", "data.encoding"})
        if (path == key) return true;
    for (const char* section : {"data.tokenizer.", "data.masking."})
        if (path.rfind(section, 0) == 0) return true;
    return false;
}

std::vector<ConfigurationKey> configuration_keys(Settings& settings) {
    Keys keys;
    add_run(keys, settings.run);
    add_data(keys, settings.data);
    add_model(keys, settings.model);
    add_train(keys, settings.train);
    return keys;
}

}  // namespace locus
