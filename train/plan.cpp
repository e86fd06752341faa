#include "train/plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "data/probes/probe_batches.h"
#include "data/tokenizer.h"
#include "kernels/attention_choice.h"
#include "kernels/device.h"
#include "kernels/matmul_onednn.h"
#include "model/cost.h"
#include "train/configuration/values.h"
#include "train/model_folder.h"
#include "train/progress_line.h"

namespace locus {

namespace {

std::string option_text(const OptionValue& value) {
    if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
    if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
    if (const double* number = std::get_if<double>(&value)) return write_number(*number);
    return std::get<std::string>(value);
}

std::string mebibytes(std::int64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1048576.0); }

}  // namespace

Arithmetic arithmetic_named(const std::string& precision) {
    if (precision == "float64") return DType::float64;
    if (precision == "tf32") return {DType::float32, Rounding::tf32};
    return precision == "bfloat16" ? DType::bfloat16 : DType::float32;
}

DType stored_activations(const RunSettings& run) {
    const Arithmetic arithmetic = arithmetic_named(run.precision);
    const bool is_rounded = arithmetic.products == Rounding::bfloat16 && device_of(run) != Device::cpu;
    return is_rounded ? DType::bfloat16 : arithmetic.storage;
}

std::string describe_precision(const RunSettings& run) {
    if (run.precision == "tf32") return "float32 with TF32 products";
    if (run.precision != "bfloat16") return run.precision;
    if (device_of(run) != Device::cpu) return "float32 with bfloat16 products and activations";
    const bool native = bfloat16_operand() == DType::bfloat16;
    return native ? "float32 with bfloat16 products"
                  : "float32 with operands rounded to bfloat16 (this processor has no instructions for them: float32 "
                    "is as fast)";
}

std::string describe_device(const RunSettings& run, const ModelSettings& model) {
    const Device device = device_of(run);
    if (device == Device::cpu) {
        const std::string reason = why_unavailable(Device::cuda);
        return reason.empty() ? "cpu; run.device=cuda would be " + description_of(Device::cuda)
                              : "cpu; no GPU: " + reason;
    }
    return description_of(device) + "; " + describe_attention(stored_activations(run), model.hidden / model.heads);
}

std::string describe_multiplier(const RunSettings& run) {
    const Device device = device_of(run);
    if (device == Device::cpu) return multiplier_of(arithmetic_named(run.precision).storage);
    return device == Device::cuda ? "cuBLASLt" : "the processor's kernel";
}

PlannedVocabulary planned_vocabulary(const Settings& settings) {
    if (!settings.data.probe.name.empty()) return {probe_tokenizer(settings.data.probe)->vocab_size(), true};
    const TokenizerSettings& tokenizer = settings.data.tokenizer;
    std::filesystem::path folder = tokenizer.path;
    if (folder.empty() && !settings.train.init_from.empty()) folder = resolve_model_folder(settings.train.init_from);
    if (!folder.empty()) return {load_tokenizer(folder)->vocab_size(), true};
    constexpr std::int64_t bytes_and_specials = 256 + 5;
    if (tokenizer.type == "bytes") return {bytes_and_specials, true};
    return {tokenizer.vocab_size, false};
}

std::string with_separators(std::int64_t value) {
    const std::string digits = std::to_string(value);
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const bool follows_digit = i > 0 && digits[i - 1] != '-';
        if (follows_digit && (digits.size() - i) % 3 == 0) text += ',';
        text += digits[i];
    }
    return text;
}

std::string describe_positions(const ModelSettings& model) {
    std::string text;
    for (const PositionSettings& position : model.position) {
        std::string options;
        for (const auto& [name, value] : position.options) {
            options += fmt::format("{}{}: {}", options.empty() ? "" : ", ", name, option_text(value));
        }
        text += fmt::format("{}{}{}", text.empty() ? "" : " + ", position.encoding,
                            options.empty() ? "" : " (" + options + ")");
    }
    return text;
}

std::string describe_model(const MaskedLanguageModel& model) {
    const ModelSettings& settings = model.settings();
    const std::int64_t longest = model.longest_sequence();
    std::string text = fmt::format(
        "model              {}: {} layers, hidden {}, {} heads of {}, feed-forward {}, vocabulary {}\n"
        "position           {}\n"
        "longest sequence   {}\n"
        "parameters         {}\n",
        settings.architecture, settings.layers, settings.hidden, settings.heads, settings.hidden / settings.heads,
        settings.feed_forward, with_separators(settings.vocab_size), describe_positions(settings),
        longest == 0 ? "any" : with_separators(longest) + " tokens", with_separators(model.parameters().count()));
    for (const auto& [part, count] : parameters_by_part(model))
        text += fmt::format("  {:<36} {:>14}\n", part, with_separators(count));
    std::int64_t decayed = 0;
    for (const Parameter& parameter : model.parameters().all())
        decayed += parameter.decay ? parameter.value.count() : 0;
    return text + fmt::format("trained            all of them, by the masked-LM loss; weight decay acts on {}\n",
                              with_separators(decayed));
}

double planned_masked_share(const Settings& settings) {
    return settings.data.probe.name.empty() ? settings.data.masking.probability : probe_masked_share(settings.data);
}

std::string describe_cost(const ModelSettings& model, const Settings& settings) {
    const std::int64_t length = settings.data.sequence_length, batch = settings.train.batch_size;
    const double share = planned_masked_share(settings);
    constexpr std::int64_t tokens = 1'000'000;
    const auto masked = static_cast<std::int64_t>(share * static_cast<double>(tokens));
    const double forward = forward_flops(model, tokens, length, masked) / static_cast<double>(tokens);
    const MemoryEstimate memory = training_memory(model, batch, length, share, stored_activations(settings.run));
    return fmt::format(
        "arithmetic         {} FLOP per token forward, {} FLOP per token of a training step (sequences of {}, {:.3g}% "
        "masked)\n"
        "memory             about {} for parameters, gradients and moments, {} for activations (batch of {} x {})\n",
        quantity_text(forward), quantity_text(3 * forward), length, 100 * share,
        mebibytes(memory.parameters_and_optimizer), mebibytes(memory.activations), batch, length);
}

}  // namespace locus
