#include "train/trainer.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "data/corpus_warnings.h"
#include "data/probes/probe_batches.h"
#include "data/unigram_entropy.h"
#include "kernels/device.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "model/cost.h"
#include "train/atomic_file.h"
#include "train/checkpoint.h"
#include "train/configuration.h"
#include "train/error.h"
#include "train/log.h"
#include "train/model_folder.h"
#include "train/plan.h"
#include "train/prepared_data.h"
#include "train/run_folder.h"
#include "train/signals.h"
#include "train/threads.h"
#include "train/training_run.h"

namespace locus {
namespace fs = std::filesystem;
namespace {

// ---- before anything is read or written -------------------------------------------------------------------------------------------------

Settings resolved(Settings settings) {
    ScheduleSettings& schedule = settings.train.schedule;
    if (schedule.warmup < 0) schedule.warmup = std::min<std::int64_t>(200, settings.train.steps / 10);
    if (schedule.decay < 0) schedule.decay = schedule.type == "warmup_stable_decay" ? settings.train.steps / 5 : 0;
    return settings;
}

void check_new(const fs::path& folder) {
    if (!fs::exists(folder)) return;
    throw ConfigurationError(
        fmt::format("{}: this run folder exists already; go on with it by --resume, choose another run.name, or "
                    "delete it",
                    folder.string()));
}

// The checkpoint to go on from; empty: there is none, so the run starts from the beginning.
fs::path checkpoint_to_resume(const fs::path& folder) {
    remove_stale_folders(folder);
    const fs::path checkpoint = newest_valid_checkpoint(folder, log_warning);
    if (!checkpoint.empty()) return checkpoint;
    const fs::path all = folder / "checkpoints";
    if (fs::is_directory(all) && !fs::is_empty(all))
        throw FileError(fmt::format(
            "{}: no checkpoint here can be resumed (see above); delete the folder to start over, or take the "
            "weights of another model by train.init_from",
            all.string()));
    if (fs::exists(folder) && fs::exists(folder / "model.safetensors"))
        throw FileError(
            fmt::format("{}: is a model, not a run; to start from its weights, set train.init_from", folder.string()));
    return {};
}

// A run that was killed may have a checkpoint that its links do not know of.
void restore_links_or_warn(const fs::path& folder, const fs::path& checkpoint, const TrainerState& state) {
    if (restore_links(folder, checkpoint, state)) return;
    log_warning(fmt::format("the best checkpoint so far (step {}) is gone", state.best_step));
}

bool is_finished(const Settings& settings, const fs::path& folder, const TrainerState& state) {
    if (state.validated_step != state.step) return false;
    const std::string reason = stop_reason(settings.train, state);
    if (reason.empty()) return false;
    log_line(fmt::format("{}: this run is finished: {}", folder.string(), reason));
    return true;
}

// ---- what a run is told about at its start ------------------------------------------------------------------------------------------------

double mebibytes(std::int64_t bytes) { return static_cast<double>(bytes) / 0x1p20; }

void report_text(const Settings& settings, const PreparedData& data) {
    log_line(fmt::format("data: {} tokens of training text, {} samples of {} tokens per epoch; {} validation samples",
                         quantity_text(static_cast<double>(data.train_shards->tokens())), data.train->samples(),
                         settings.data.sequence_length, data.valid->samples()));
    log_line(fmt::format("unigram entropy: {:.3f} nats; a model that only knows how frequent each token is ends there",
                         unigram_entropy(*data.train_shards)));
    for (const std::string& warning : corpus_warnings(*data.train_shards, *data.tokenizer, settings.data)) {
        log_warning(warning);
    }
}

void report_probe(const Settings& settings, const PreparedData& data) {
    const ProbeSettings& probe = settings.data.probe;
    const ProbeFloor floor =
        mean_probe_floor(probe, probe_length(settings.data), ProbeSplit::validation, data.valid->samples());
    log_line(fmt::format("data: the probe {} ({}), fresh samples of {} tokens; {} validation samples", probe.name,
                         find_probe(probe.name)->summary, settings.data.sequence_length, data.valid->samples()));
    log_line(fmt::format("floor: loss {:.4f} nats, accuracy {:.2f}%; a model without positions cannot do better",
                         floor.loss, 100 * floor.accuracy));
}

std::string epochs_text(const TrainSettings& train, const PreparedData& data) {
    if (data.train->samples() == 0) return {};
    const auto sequences = static_cast<double>(train.steps * train.batch_size * train.gradient_accumulation);
    return fmt::format(", {:.2f} epochs", sequences / static_cast<double>(data.train->samples()));
}

void report_start(const Settings& settings, const PreparedData& data, const MaskedLanguageModel& model) {
    const TrainSettings& train = settings.train;
    const ModelSettings& shape = model.settings();
    const std::int64_t length = settings.data.sequence_length;
    const double masked_share = planned_masked_share(settings);
    const auto masked = static_cast<std::int64_t>(static_cast<double>(length) * masked_share);
    const double flops = 3 * forward_flops(shape, length, length, masked) / static_cast<double>(length);
    const MemoryEstimate memory =
        training_memory(shape, train.batch_size, length, masked_share, stored_activations(settings.run));
    log_line(fmt::format("processor: {}, {}, {} threads", processor_name(), name_of(isa()), omp_get_max_threads()));
    log_line("device: " + describe_device(settings.run, shape));
    log_line(fmt::format("kernels: matrix products by {}, all else own kernels; {}", describe_multiplier(settings.run),
                         describe_precision(settings.run)));
    log_line(
        fmt::format("model: {}, {} layers, hidden {}, vocabulary {}: {} parameters; {:.1f} MFLOP per token of training",
                    shape.architecture, shape.layers, shape.hidden, shape.vocab_size,
                    quantity_text(static_cast<double>(model.parameters().count())), flops / 1e6));
    log_line(fmt::format("memory: {:.0f} MiB for weights, gradients and moments, about {:.0f} MiB for activations",
                         mebibytes(memory.parameters_and_optimizer), mebibytes(memory.activations)));
    settings.data.probe.name.empty() ? report_text(settings, data) : report_probe(settings, data);
    for (const std::string& rows : model.untrained_rows(length)) {
        log_warning(fmt::format(
            "{} are not reached by sequences of {} tokens and stay as they begin: longer text will meet "
            "untrained rows; raise data.sequence_length, or lower model.max_length or the encoding's distance",
            rows, length));
    }
    log_line(fmt::format("plan: {} steps of {} x {} sequences{}", train.steps, train.gradient_accumulation,
                         train.batch_size, epochs_text(train, data)));
}

// ---- putting the parts together -----------------------------------------------------------------------------------------------------------

PreparedData prepare(const Settings& settings) {
    PreparedData data = prepare_data(settings, [](std::string_view what, std::int64_t done, std::int64_t total) {
        check_signals();
        if (total > 0) {
            ProgressLine::show_activity(std::string(what), 100 * done / total, 100);
        } else {
            ProgressLine::show_activity(std::string(what), done, 0);
        }
    });
    ProgressLine::clear();
    check_signals();
    return data;
}

std::unique_ptr<MaskedLanguageModel> make_model(Settings& settings, const PreparedData& data) {
    settings.model.vocab_size = data.tokenizer->vocab_size();
    settings.model.pad_id = data.tokenizer->special().pad;
    auto model = std::make_unique<MaskedLanguageModel>(settings.model, arithmetic_named(settings.run.precision));
    const std::int64_t longest = model->longest_sequence();
    if (longest > 0 && settings.data.sequence_length > longest)
        throw ConfigurationError(
            fmt::format("data.sequence_length {} is longer than the model takes ({}); lower it, raise "
                        "model.max_length, or choose a position encoding without a limit",
                        settings.data.sequence_length, longest));
    return model;
}

// At least the checkpoint that is kept and the one that is being written must fit.
void check_space(const fs::path& folder, const Settings& settings, const MaskedLanguageModel& model, bool resumes) {
    const TrainSettings& train = settings.train;
    const bool several = train.checkpoint_every > 0 || train.evaluate_every > 0;
    check_free_space(folder, checkpoint_bytes(model), several && !resumes ? 2 : 1);
}

TrainerState start_state(const Settings& settings, const PreparedData& data, MaskedLanguageModel& model) {
    if (settings.train.init_from.empty()) {
        model.initialize(settings.run.seed);
    } else {
        for (const std::string& line : load_initial_weights(settings.train.init_from, model)) log_line(line);
    }
    TrainerState state;
    state.data_fingerprint = data.fingerprint;
    return state;
}

TrainerState resumed_state(const fs::path& folder, const fs::path& checkpoint, MaskedLanguageModel& model,
                           Optimizer& optimizer) {
    TrainerState state = load_checkpoint(checkpoint, model, optimizer);
    restore_links_or_warn(folder, checkpoint, state);
    log_line(fmt::format("resuming from {}", checkpoint.string()));
    return state;
}

std::unique_ptr<MetricsFile> open_metrics(const fs::path& folder, const TrainerState& state, bool resumes) {
    const fs::path path = folder / "metrics.csv";
    if (!resumes) return std::make_unique<MetricsFile>(path);
    auto metrics = std::make_unique<MetricsFile>(path, state.metrics_bytes, state.step);
    if (metrics->was_edited())
        log_warning(fmt::format("{}: is not as the checkpoint left it; its rows up to step {} are kept", path.string(),
                                state.step));
    return metrics;
}

int start_or_resume(Settings settings, const fs::path& folder, const fs::path& checkpoint) {
    const bool resumes = !checkpoint.empty();
    const PreparedData data = prepare(settings);
    if (resumes) check_same_data(data.fingerprint, read_trainer_state(checkpoint));
    const std::unique_ptr<MaskedLanguageModel> model = make_model(settings, data);
    check_space(folder, settings, *model, resumes);
    Optimizer optimizer(settings.train.optimizer, model->parameters());

    fs::create_directories(folder);
    const LogFile log(folder / "log.txt");
    TrainerState state =
        resumes ? resumed_state(folder, checkpoint, *model, optimizer) : start_state(settings, data, *model);
    model->move_to(device_of(settings.run));
    optimizer.move_to(model->device());
    state.configuration = fixed_configuration(settings);
    write_file_atomically(folder / "config.yaml", write_configuration(settings));
    report_start(settings, data, *model);
    const std::unique_ptr<MetricsFile> metrics = open_metrics(folder, state, resumes);
    TrainingRun run({settings, data, *model, optimizer, *metrics, folder}, state);
    return run.run();
}

}  // namespace

fs::path run_folder(const Settings& settings) { return fs::path(settings.run.directory) / settings.run.name; }

int train(const Settings& asked, bool resume) {
    const SignalGuard guard;
    forget_waiting_lines();
    const Settings settings = resolved(asked);
    const fs::path folder = run_folder(settings);
    use_threads(settings.run.threads);
    try {
        if (!resume) check_new(folder);
        const fs::path checkpoint = resume ? checkpoint_to_resume(folder) : fs::path();
        if (!checkpoint.empty()) {
            const TrainerState state = read_trainer_state(checkpoint);
            check_same_configuration(settings, state);
            if (is_finished(settings, folder, state)) {
                restore_links_or_warn(folder, checkpoint, state);
                return exit_done;
            }
        }
        return start_or_resume(settings, folder, checkpoint);
    } catch (const Interrupted& interrupted) {
        ProgressLine::clear();
        log_line(fmt::format("{}: stopped before the first step; nothing was saved", signal_name(interrupted.signal)));
        return 128 + interrupted.signal;
    }
}

}  // namespace locus
