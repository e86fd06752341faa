// locus evaluate: masked-LM loss and accuracy of a model on text, as training validates or by sequence length; or on its probe.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>

#include <fmt/core.h>
#include <fmt/format.h>

#include "data/corpus.h"
#include "data/samples.h"
#include "data/token_shards.h"
#include "train/atomic_file.h"
#include "train/beyond.h"
#include "train/commands.h"
#include "train/device_name.h"
#include "train/error.h"
#include "train/evaluation.h"
#include "train/length_evaluation.h"
#include "train/plan.h"
#include "train/probe_evaluation.h"
#include "train/progress_line.h"
#include "train/run_settings.h"
#include "train/signals.h"
#include "train/threads.h"
#include "train/too_long.h"

namespace locus {

namespace fs = std::filesystem;

namespace {

/// The model, the run that it comes from where there is one, and the text.
struct Subject {
    LoadedModel loaded;
    std::optional<Settings> run;
    DataSettings data;  // how the text is read: as in training where that is known
    std::unique_ptr<TokenShards> shards;

    const MaskedLanguageModel& model() const { return *loaded.model; }
    const Tokenizer& tokenizer() const { return *loaded.tokenizer; }
    std::int64_t train_length() const { return run ? run->data.sequence_length : model().settings().train_length; }
};

Subject open_subject(const EvaluateCommand& command) {
    Subject subject;
    subject.run = settings_of_run(resolve_model_folder(command.model));
    const Arithmetic trained_in = subject.run ? arithmetic_named(subject.run->run.precision) : DType::float32;
    const Device device = device_named(command.device, trained_in.storage);
    const bool has_tf32 = device != Device::cpu;
    subject.loaded = load_model(
        command.model, trained_in.products == Rounding::tf32 && !has_tf32 ? Arithmetic(DType::float32) : trained_in);
    subject.loaded.model->move_to(device);
    const Tokenizer& tokenizer = tokenizer_of(subject.loaded);
    if (subject.run) subject.data = subject.run->data;
    subject.data.synthetic = SyntheticSettings();
    subject.data.train = command.text;
    subject.data.valid.clear();
    const auto show = [](std::string_view what, std::int64_t done, std::int64_t total) {
        check_signals();
        ProgressLine::show_activity(std::string(what), done, total);
    };
    const fs::path prepared =
        prepare_shards(expand_patterns(command.text), subject.data, tokenizer, cache_folder(), show);
    ProgressLine::clear();
    subject.shards = std::make_unique<TokenShards>(prepared, tokenizer.vocab_size());
    return subject;
}

/// Checked before the work, not after it: a file that cannot be written would lose the figures.
void check_folder(const char* option, const std::string& file) {
    if (file.empty()) return;
    const fs::path folder = fs::absolute(file).parent_path();
    if (!fs::is_directory(folder))
        throw ConfigurationError(fmt::format("{} {}: there is no folder {}", option, file, folder.string()));
}

/// Where the figures go; empty: nowhere.
fs::path output_of(const EvaluateCommand& command) {
    if (command.csv.empty()) {
        const bool is_run = fs::is_regular_file(fs::path(command.model) / "config.yaml");
        return is_run && !command.lengths.empty() ? fs::path(command.model) / "length_extrapolation.csv" : fs::path();
    }
    check_folder("--csv", command.csv);
    return command.csv;
}

void write_rows(const fs::path& output, const Subject& subject, const std::vector<LengthRow>& rows) {
    if (output.empty()) return;
    write_file_atomically(output, length_csv(subject.model().settings(), subject.train_length(), rows));
    fmt::print("written: {}\n", output.string());
}

// ---- as training validates -------------------------------------------------------------------------------------------------------------

/// The same samples, masks and batches as in training, so that on the same file the loss is the one that training reported, to the last digit.
std::vector<LengthRow> evaluate_as_trained(const EvaluateCommand& command, Subject& subject) {
    if (!subject.run) {
        const std::int64_t trained = subject.train_length(), longest = subject.model().longest_sequence();
        if (trained > 0) subject.data.sequence_length = trained;
        if (longest > 0) subject.data.sequence_length = std::min(subject.data.sequence_length, longest);
    }
    const Samples samples(*subject.shards, subject.data, subject.tokenizer().special());
    const Masking masking(subject.data.masking, subject.tokenizer());
    const Batches batches(samples, masking, 0);
    const TrainSettings train = subject.run ? subject.run->train : TrainSettings();
    Arena arena(subject.model().device());
    const EvaluationResult result = evaluate(subject.model(), batches, train.batch_size,
                                             command.samples > 0 ? command.samples : train.evaluate_samples, arena,
                                             [](std::int64_t done, std::int64_t total) {
                                                 check_signals();
                                                 ProgressLine::show_activity("batch", done, total);
                                                 return true;
                                             });
    ProgressLine::clear();
    fmt::print("loss {} nats per masked token, masked accuracy {:.2f}% ({} masked of {} tokens, sequences of {})\n",
               result.loss, 100 * result.masked_accuracy, result.masked, result.tokens, subject.data.sequence_length);
    LengthRow row;
    row.beyond = beyond_of(subject.model().settings());
    row.length = subject.data.sequence_length;
    row.scheme = "validation";
    row.bucket = {"all", 0, row.length};
    row.loss = result.loss;
    row.masked_accuracy = result.masked_accuracy;
    row.masked = result.masked;
    return {row};
}

// ---- by length -------------------------------------------------------------------------------------------------------------------------

LengthProtocol protocol_of(const EvaluateCommand& command, const Subject& subject) {
    LengthProtocol protocol;
    protocol.lengths = command.lengths;
    if (!command.schemes.empty()) protocol.schemes = command.schemes;
    protocol.boundary = command.boundary.empty() ? subject.data.boundary : command.boundary;
    protocol.mask_probability = command.mask_probability;
    protocol.beyond = command.beyond;
    protocol.train_length = subject.train_length();
    protocol.samples = command.samples;
    protocol.seed = command.seed;
    protocol.window = command.window;
    protocol.logn = command.logn;
    protocol.shift = command.shift;
    return protocol;
}

std::string interval_text(double value, const std::optional<Interval>& interval) {
    return interval ? fmt::format("{:.4f} [{:.4f}, {:.4f}]", value, interval->low, interval->high)
                    : fmt::format("{:.4f}", value);
}

void print_rows(const std::vector<LengthRow>& rows) {
    fmt::print("{:>8}  {:<18} {:<7} {:>9}  {:<26} {:<28} {:>8}\n", "length", "scheme", "beyond", "masked",
               "loss [95% interval]", "delta to L [95% interval]", "accuracy");
    for (const LengthRow& row : rows) {
        if (row.bucket.name != "all") continue;
        const std::string delta = row.delta ? interval_text(*row.delta, row.delta_interval) : "-";
        fmt::print("{:>8}  {:<18} {:<7} {:>9}  {:<26} {:<28} {:>7.2f}%\n", row.length, row.scheme,
                   row.beyond.empty() ? "-" : row.beyond, row.masked, interval_text(row.loss, row.loss_interval), delta,
                   100 * row.masked_accuracy);
    }
}

/// Writes the lines of --targets as they come: there may be more of them than fit into memory.
class TargetsFile {
public:
    explicit TargetsFile(const std::string& path) : path_(path) {
        if (!path.empty()) file_.open(path, std::ios::trunc);
        check();
    }
    LossObserver observer() {
        if (path_.empty()) return {};
        return [this](const WindowLosses& window) { file_ << json_of(window) << '\n'; };
    }
    void close() {
        if (path_.empty()) return;
        file_.close();
        check();
        fmt::print("written: {}\n", path_);
    }

private:
    void check() const {
        if (!path_.empty() && !file_) throw FileError(fmt::format("--targets {}: cannot be written", path_));
    }
    std::string path_;
    std::ofstream file_;
};

std::vector<LengthRow> evaluate_by_length(const EvaluateCommand& command, const Subject& subject) {
    TargetsFile targets(command.targets);
    using Clock = std::chrono::steady_clock;
    const LengthProtocol protocol = protocol_of(command, subject);
    const Clock::time_point begin = Clock::now();
    std::int64_t tokens = 0;
    double seconds = 0;
    const std::vector<LengthRow> rows = evaluate_lengths(
        subject.model(), *subject.shards, subject.tokenizer(), protocol,
        [&](std::int64_t done, std::int64_t total) {
            check_signals();
            tokens = done;
            seconds = std::max(1e-9, std::chrono::duration<double>(Clock::now() - begin).count());
            const double speed = static_cast<double>(done) / seconds;
            ProgressLine::show_activity(fmt::format("{} tokens/s  {} left  %", quantity_text(speed),
                                                    duration_text(static_cast<double>(total - done) / speed)),
                                        100 * done / total, 100);
        },
        targets.observer());
    ProgressLine::clear();
    fmt::print("boundary {}, {} of the tokens masked, L = {}; {} tokens at {} tokens/s\n", protocol.boundary,
               protocol.mask_probability,
               protocol.train_length > 0 ? std::to_string(protocol.train_length) : "the shortest length", tokens,
               quantity_text(static_cast<double>(tokens) / std::max(1e-9, seconds)));
    print_rows(rows);
    targets.close();
    return rows;
}

// ---- on a probe ------------------------------------------------------------------------------------------------------------------------

bool was_trained_on_probe(const std::string& model) {
    const std::optional<Settings> run = settings_of_run(resolve_model_folder(model));
    return run && !run->data.probe.name.empty();
}

/// A probe brings its own examples, masks and boundary.
void refuse_text_options(const EvaluateCommand& command) {
    const EvaluateCommand unset;
    const std::pair<bool, const char*> given[] = {
        {!command.text.empty(), "--text"},
        {!command.schemes.empty(), "--schemes"},
        {!command.boundary.empty(), "--boundary"},
        {!command.beyond.empty(), "--beyond"},
        {command.mask_probability != unset.mask_probability, "--mask-probability"},
        {command.seed != unset.seed, "--seed"},
        {command.window != 0, "--window"},
        {command.shift != 0, "--shift"},
        {command.logn, "--logn"},
        {!command.targets.empty(), "--targets"}};
    for (const auto& [is_given, name] : given) {
        if (is_given)
            throw ConfigurationError(fmt::format("{}: {} was trained on a probe and is evaluated on that; leave it out",
                                                 name, command.model));
    }
}

int evaluate_on_probe(const EvaluateCommand& command) {
    refuse_text_options(command);
    ProbeEvaluation asked = {
        .model = command.model, .lengths = command.lengths, .csv = command.csv, .threads = command.threads};
    if (command.samples > 0) asked.examples = command.samples;
    return run_probe_evaluation(asked);
}

}  // namespace

int run_evaluate(const EvaluateCommand& command) {
    if (was_trained_on_probe(command.model)) return evaluate_on_probe(command);
    if (command.text.empty()) throw ConfigurationError("--text FILE is missing: the text to evaluate on");
    const SignalGuard guard;
    use_threads(command.threads);
    const fs::path output = output_of(command);
    check_folder("--targets", command.targets);
    Subject subject = open_subject(command);
    const bool by_length = !command.lengths.empty();
    write_rows(output, subject,
               by_length ? evaluate_by_length(command, subject) : evaluate_as_trained(command, subject));
    return exit_done;
}

}  // namespace locus
