// locus bench: the speed of training steps and where their time goes, beside the peak of the processor and the rate of its memory in the same seconds. On
// shared machines all of them swing together; their ratios do not.
//
// On a GPU a clock that tells phases apart waits for the device at each of them, and a step with it is slower than one without: beside each step with the
// clock, for the phases, steps run as training runs them, queued one behind the other, for the speed.

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kernels/cache_size.h"
#include "kernels/ceilings.h"
#include "kernels/device.h"
#include "kernels/isa.h"
#include "kernels/random.h"
#include "model/cost.h"
#include "train/commands.h"
#include "train/configuration.h"
#include "train/error.h"
#include "train/inference_speed.h"
#include "train/optimizer.h"
#include "train/phase_table.h"
#include "train/plan.h"
#include "train/prepared_data.h"
#include "train/progress_line.h"
#include "train/signals.h"
#include "train/stopwatch.h"
#include "train/threads.h"
#include "train/training_step.h"

namespace locus {

namespace {

constexpr double peak_seconds = 0.05;  // how long each measurement of a ceiling takes

struct StepTime {
    double seconds = 0;  // of the whole step
    StepPhases phases;
    ClockedStep clocked;
    InferenceTimes inference;
};

/// Twice the last-level cache, so that a copy within it comes from memory; where nobody knows that cache, 128 MiB. A GPU's caches are far below 1 GiB.
std::int64_t copied_bytes(Device device) {
    constexpr std::int64_t mebibyte = std::int64_t{1} << 20, unknown = 64 * mebibyte, most = 1024 * mebibyte;
    if (device == Device::cuda) return most;
    const std::int64_t cache = last_level_cache();
    return std::min(2 * (cache > 0 ? cache : unknown), most);
}

Ceilings ceilings_of(const MaskedLanguageModel& model) {
    return {.device = model.device(),
            .rounding = model.arithmetic().products,
            .seconds = peak_seconds,
            .copy_bytes = copied_bytes(model.device())};
}

/// Full sequences of random ordinary tokens, the configured share of them masked.
TokenBatch random_batch(const Settings& settings, std::int64_t vocabulary, std::uint32_t number) {
    TokenBatch batch;
    const std::int64_t length = settings.data.sequence_length, rows = length * settings.train.batch_size;
    const auto specials = static_cast<std::int64_t>(std::min<std::int64_t>(5, vocabulary - 1));
    for (std::int64_t row = 0; row < rows; ++row) {
        const Philox4 bits =
            philox({settings.run.seed, stream_benchmark}, {static_cast<std::uint32_t>(row), number, 0, 0});
        const auto token =
            static_cast<std::int32_t>(specials + below(bits[0], static_cast<std::uint32_t>(vocabulary - specials)));
        batch.ids.push_back(token);
        if (uniform(bits[1]) >= settings.data.masking.probability) continue;
        batch.masked_rows.push_back(static_cast<std::int32_t>(row));
        batch.targets.push_back(token);
    }
    for (std::int64_t start = 0; start <= rows; start += length)
        batch.offsets.push_back(static_cast<std::int32_t>(start));
    return batch;
}

/// Where the micro-batches of a step come from.
class StepBatches {
public:
    StepBatches(const Settings& settings, bool corpus) : settings_(settings) {
        if (!corpus && settings.data.probe.name.empty()) return;
        prepared_ = prepare_data(settings, [](std::string_view what, std::int64_t done, std::int64_t total) {
            check_signals();
            ProgressLine::show_activity(std::string(what), done, total);
        });
        ProgressLine::clear();
    }

    std::int64_t vocabulary() const {
        return prepared_ ? prepared_->tokenizer->vocab_size() : planned_vocabulary(settings_).size;
    }
    std::vector<TokenBatch> micro_batches(std::int64_t step, std::int64_t vocabulary) const {
        const std::int64_t accumulation = settings_.train.gradient_accumulation, size = settings_.train.batch_size;
        std::vector<TokenBatch> batches(static_cast<std::size_t>(accumulation));
        for (std::int64_t n = 0; n < accumulation; ++n) {
            const std::int64_t number = step * accumulation + n;
            TokenBatch& batch = batches[static_cast<std::size_t>(n)];
            if (prepared_) {
                prepared_->train->training(number * size, size, batch);
            } else {
                batch = random_batch(settings_, vocabulary, static_cast<std::uint32_t>(number));
            }
        }
        return batches;
    }

private:
    const Settings& settings_;
    std::optional<PreparedData> prepared_;
};

StepPhases difference(const StepPhases& after, const StepPhases& before) {
    return {after.forward - before.forward, after.backward - before.backward, after.optimizer - before.optimizer};
}

/// Bytes, so far.
std::int64_t largest_resident_set() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return std::int64_t{1024} * usage.ru_maxrss;
}

/// Seconds of a step when the next one is queued before its result is read, and nobody waits for a phase.
double seconds_of_queued_step(TrainingStep& training, std::int64_t step, const std::vector<TokenBatch>& batches) {
    constexpr int steps = 4;
    training.start(step, batches);
    training.start(step, batches);
    training.finish();
    Stopwatch watch;
    for (int n = 0; n < steps; ++n) {
        training.start(step, batches);
        training.finish();
    }
    const double seconds = watch.lap() / steps;
    training.finish();
    return seconds;
}

StepTime time_step(TrainingStep& training, std::int64_t step, const std::vector<TokenBatch>& batches,
                   const Ceilings& ceilings) {
    StepTime time;
    const double peak_before = arithmetic_ceiling(ceilings);
    const StepPhases before = training.phases();
    StepClock clock(ceilings.device);
    training.set_clock(&clock);
    clock.start();
    training.run(step, batches);
    clock.stop();
    training.set_clock(nullptr);
    time.clocked.work = clock.work();
    time.phases = difference(training.phases(), before);
    const bool is_queued = training.most_under_way() > 1;
    time.seconds = is_queued ? seconds_of_queued_step(training, step, batches) : clock.work().seconds();
    time.clocked.peak_gflops = (peak_before + arithmetic_ceiling(ceilings)) / 2;
    return time;
}

/// Of the ratios of steps in turns: how fast, where the other configuration is 1.
struct Ratios {
    double lower_quartile = 0, median = 0, upper_quartile = 0;
};

Ratios quartiles(std::vector<double> ratios) {
    if (ratios.empty()) return {};
    std::sort(ratios.begin(), ratios.end());
    const auto at = [&](double share) {
        return ratios[static_cast<std::size_t>(std::lround(share * static_cast<double>(ratios.size() - 1)))];
    };
    return {at(0.25), median(ratios), at(0.75)};
}

/// Medians over the steps.
struct Summary {
    std::string processor, isa, precision, described_device;
    Device device = Device::cpu;
    int threads = 0;
    std::int64_t steps = 0, parameters = 0, tokens = 0;
    double seconds = 0, clocked_seconds = 0;  // the second: with the clock, the sum of the phases
    double tokens_per_second = 0, gflops = 0, peak_gflops = 0, share_of_peak = 0, copy_gigabytes = 0;
    StepPhases phases;
    std::size_t activation_bytes = 0;    // the most that the arena of a step has held
    std::int64_t peak_memory_bytes = 0;  // largest resident set of the process, without what measuring takes
    std::size_t device_bytes = 0;        // of a GPU's memory, all that the program has after a step
    std::vector<PhaseRow> rows;
    InferenceTimes inference;  // 0 unless asked for
    std::string beside;        // what the other configuration has; empty: there is none
    Ratios ratios;
};

Summary summarise(const std::vector<StepTime>& times, double tokens, double flops) {
    const auto median_of = [&](auto figure) {
        std::vector<double> values;
        for (const StepTime& time : times) values.push_back(figure(time));
        return median(values);
    };
    const auto gflops = [&](const StepTime& time) { return flops / time.seconds / 1e9; };
    Summary summary;
    summary.steps = static_cast<std::int64_t>(times.size());
    summary.seconds = median_of([](const StepTime& time) { return time.seconds; });
    summary.clocked_seconds = median_of([](const StepTime& time) { return time.clocked.work.seconds(); });
    summary.tokens_per_second = median_of([&](const StepTime& time) { return tokens / time.seconds; });
    summary.gflops = median_of(gflops);
    summary.peak_gflops = median_of([](const StepTime& time) { return time.clocked.peak_gflops; });
    summary.share_of_peak = median_of([&](const StepTime& time) { return gflops(time) / time.clocked.peak_gflops; });
    summary.copy_gigabytes = median_of([](const StepTime& time) { return time.clocked.copy_gigabytes; });
    summary.phases.forward = median_of([](const StepTime& time) { return time.phases.forward; });
    summary.phases.backward = median_of([](const StepTime& time) { return time.phases.backward; });
    summary.phases.optimizer = median_of([](const StepTime& time) { return time.phases.optimizer; });
    summary.inference.evaluate = median_of([](const StepTime& time) { return time.inference.evaluate; });
    summary.inference.fill = median_of([](const StepTime& time) { return time.inference.fill; });
    summary.inference.forward = median_of([](const StepTime& time) { return time.inference.forward; });
    std::vector<ClockedStep> clocked;
    for (const StepTime& time : times) clocked.push_back(time.clocked);
    summary.rows = phase_rows(clocked, summary.clocked_seconds);
    return summary;
}

nlohmann::ordered_json json_of(const PhaseRow& row) {
    return {{"phase", row.phase},
            {"pass", row.pass},
            {"seconds", row.seconds},
            {"share", row.share},
            {"flops", row.cost.flops},
            {"bytes", row.cost.bytes},
            {"allowed_seconds", row.allowed_seconds},
            {"reached", row.reached},
            {"limit", row.limit}};
}

void print_json(const Summary& summary) {
    nlohmann::ordered_json json = {
        {"processor", summary.processor},
        {"isa", summary.isa},
        {"device", name_of(summary.device)},
        {"threads", summary.threads},
        {"precision", summary.precision},
        {"parameters", summary.parameters},
        {"steps", summary.steps},
        {"tokens_per_step", summary.tokens},
        {"seconds_per_step", summary.seconds},
        {"seconds_phase_by_phase", summary.clocked_seconds},
        {"tokens_per_second", summary.tokens_per_second},
        {"gflops", summary.gflops},
        {"peak_gflops", summary.peak_gflops},
        {"share_of_peak", summary.share_of_peak},
        {"forward_seconds", summary.phases.forward},
        {"backward_seconds", summary.phases.backward},
        {"optimizer_seconds", summary.phases.optimizer},
        {"activation_bytes", summary.activation_bytes},
        {"peak_memory_bytes", summary.peak_memory_bytes},
        {"device_memory_bytes", summary.device_bytes},
        {"copy_gigabytes_per_second", summary.copy_gigabytes},
        {"copy_bytes", copied_bytes(summary.device)},
        {"phases", nlohmann::ordered_json::array()},
    };
    for (const PhaseRow& row : summary.rows) json["phases"].push_back(json_of(row));
    if (summary.inference.evaluate > 0)
        json["inference_seconds"] = {{"evaluate", summary.inference.evaluate},
                                     {"fill", summary.inference.fill},
                                     {"forward", summary.inference.forward}};
    if (!summary.beside.empty())
        json["beside"] = {{"overrides", summary.beside},
                          {"ratio", summary.ratios.median},
                          {"lower_quartile", summary.ratios.lower_quartile},
                          {"upper_quartile", summary.ratios.upper_quartile}};
    fmt::print("{}\n", json.dump(2));
}

void print_text(const Summary& summary) {
    const auto phase = [&](const char* name, double seconds) {
        fmt::print("  {:<16} {:>9.2f} ms {:>5.1f}%\n", name, 1e3 * seconds, 100 * seconds / summary.clocked_seconds);
    };
    fmt::print("processor          {}, {}, {} threads\n", summary.processor, summary.isa, summary.threads);
    fmt::print("device             {}\n", summary.described_device);
    fmt::print("model              {} parameters, {}\n", with_separators(summary.parameters), summary.precision);
    fmt::print("step               {:.2f} ms for {} tokens (median of {} steps)\n", 1e3 * summary.seconds,
               with_separators(summary.tokens), summary.steps);
    if (summary.device != Device::cpu)
        fmt::print("phase by phase     {:.2f} ms, waiting for each\n", 1e3 * summary.clocked_seconds);
    phase("forward", summary.phases.forward);
    phase("backward", summary.phases.backward);
    phase("optimizer", summary.phases.optimizer);
    fmt::print("speed              {}tokens/s, {:.1f} GFLOP/s\n", quantity_text(summary.tokens_per_second) + " ",
               summary.gflops);
    fmt::print("peak               {:.1f} GFLOP/s of {} in the same seconds; share reached {:.1f}%\n",
               summary.peak_gflops, summary.device == Device::cpu ? "float32 multiply-adds" : "one large product",
               100 * summary.share_of_peak);
    fmt::print("activations        {:.1f} MiB at most: values, gradients, scratch of a step\n",
               static_cast<double>(summary.activation_bytes) / 0x1p20);
    fmt::print("process            {:.1f} MiB resident at most\n",
               static_cast<double>(summary.peak_memory_bytes) / 0x1p20);
    if (summary.device != Device::cpu)
        fmt::print("device memory      {:.1f} MiB: weights, gradients, moments, activations, scratch\n",
                   static_cast<double>(summary.device_bytes) / 0x1p20);
    fmt::print("memory             {:.1f} GB/s copying {:.0f} MB in the same seconds, bytes read and written\n",
               summary.copy_gigabytes, 1e-6 * static_cast<double>(copied_bytes(summary.device)));
    if (!summary.beside.empty())
        fmt::print(
            "in turns           {:.2f} times as fast as with {} (median of {} pairs of steps, quartiles {:.2f} and "
            "{:.2f})\n",
            summary.ratios.median, summary.beside, summary.steps, summary.ratios.lower_quartile,
            summary.ratios.upper_quartile);
    const auto pass = [&](const char* name, const char* what, double seconds) {
        if (seconds <= 0) return;
        fmt::print("{:<18} {}tokens/s, {:.2f} times training: {}\n", name,
                   quantity_text(static_cast<double>(summary.tokens) / seconds) + " ", summary.seconds / seconds, what);
    };
    pass("evaluate", "the loss of the masked tokens", summary.inference.evaluate);
    pass("fill", "logits of the masked tokens", summary.inference.fill);
    pass("forward", "logits of all tokens", summary.inference.forward);
    fmt::print(
        "\nwhere the time goes; allowed: the longer of FLOP / peak and bytes / memory; reached: allowed / measured\n{}",
        phase_text(summary.rows));
}

/// Arithmetic of a step of full sequences, the expected share of them masked.
double step_flops(const ModelSettings& model, const std::vector<TokenBatch>& batches, std::int64_t length) {
    double flops = 0;
    for (const TokenBatch& batch : batches) flops += 3 * forward_flops(model, batch.rows(), length, batch.masked());
    return flops;
}

Settings settings_of(const BenchCommand& command, const std::vector<std::string>& overrides) {
    Settings settings = read_configuration(command.configuration, overrides);
    settings.train.steps = std::max(settings.train.steps, command.warmup + command.steps);
    return settings;
}

const ModelSettings& with_vocabulary(Settings& settings, std::int64_t vocabulary) {
    settings.model.vocab_size = vocabulary;
    return settings.model;
}

/// A configuration ready for steps. Its parts refer to each other.
struct Subject {
    Settings settings;
    StepBatches source;
    MaskedLanguageModel model;
    Optimizer optimizer;
    std::optional<TrainingStep> training;  // made when the model is where it computes

    Subject(const BenchCommand& command, const std::vector<std::string>& overrides)
        : settings(settings_of(command, overrides)),
          source(settings, command.corpus),
          model(with_vocabulary(settings, source.vocabulary()), arithmetic_named(settings.run.precision)),
          optimizer(settings.train.optimizer, model.parameters()) {
        model.initialize(settings.run.seed);
        model.move_to(device_of(settings.run));
        optimizer.move_to(model.device());
        training.emplace(settings, model, optimizer);
    }
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;

    std::vector<TokenBatch> batches(std::int64_t step) const {
        return source.micro_batches(step, settings.model.vocab_size);
    }
};

/// The same configuration with other overrides on top, to be stepped in turns; null when none are wanted.
std::unique_ptr<Subject> subject_beside(const BenchCommand& command) {
    if (command.beside.empty()) return nullptr;
    std::vector<std::string> overrides = command.overrides;
    overrides.insert(overrides.end(), command.beside.begin(), command.beside.end());
    return std::make_unique<Subject>(command, overrides);
}

}  // namespace

int run_bench(const BenchCommand& command) {
    const SignalGuard guard;
    Subject subject(command, command.overrides);
    const int threads = use_threads(subject.settings.run.threads);
    const std::unique_ptr<Subject> beside = subject_beside(command);
    std::vector<StepTime> times;
    std::vector<double> ratios;
    double tokens = 0, flops = 0;
    std::int64_t peak_memory = 0;
    std::size_t device_bytes = 0;
    const Ceilings ceilings = ceilings_of(subject.model);
    Arena forward_arena(subject.model.device());
    for (std::int64_t step = 1; step <= command.warmup + command.steps; ++step) {
        const std::vector<TokenBatch> batches = subject.batches(step);
        const StepTime time = time_step(*subject.training, step, batches, ceilings);
        const double other =
            beside ? time_step(*beside->training, step, beside->batches(step), ceilings_of(beside->model)).seconds : 0;
        ProgressLine::show_activity("step", step, command.warmup + command.steps);
        if (step <= command.warmup) continue;
        times.push_back(time);
        if (beside) ratios.push_back(other / time.seconds);
        if (command.inference) times.back().inference = time_inference(subject.model, batches, forward_arena);
        if (times.size() == 1) {  // before memory is taken for copying
            peak_memory = largest_resident_set();
            device_bytes = allocated_bytes(subject.model.device());
        }
        times.back().clocked.copy_gigabytes = copy_ceiling(ceilings);
        for (const TokenBatch& batch : batches) tokens += static_cast<double>(batch.rows());
        flops += step_flops(subject.settings.model, batches, subject.settings.data.sequence_length);
    }
    ProgressLine::clear();
    const double steps = static_cast<double>(command.steps);
    Summary summary = summarise(times, tokens / steps, flops / steps);
    summary.processor = processor_name();
    summary.isa = name_of(isa());
    summary.precision = subject.settings.run.precision;
    summary.device = subject.model.device();
    summary.described_device = describe_device(subject.settings.run, subject.model.settings());
    summary.threads = threads;
    summary.parameters = subject.model.parameters().count();
    summary.tokens = static_cast<std::int64_t>(tokens / steps);
    summary.activation_bytes = subject.training->arena().peak();
    summary.peak_memory_bytes = peak_memory;
    summary.device_bytes = device_bytes;
    summary.beside = fmt::format("{}", fmt::join(command.beside, " "));
    summary.ratios = quartiles(ratios);
    command.json ? print_json(summary) : print_text(summary);
    return exit_done;
}

}  // namespace locus
