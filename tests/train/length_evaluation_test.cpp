#include "train/length_evaluation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data/error.h"
#include "tests/train/tiny_run.h"
#include "train/chunk_losses.h"
#include "train/error.h"
#include "train/prepared_data.h"

namespace locus {
namespace {

/// A model of random weights, in float64, and held-out text.
class LengthEvaluation : public testing::Test {
protected:
    void SetUp() override {
        const Settings settings = tiny_.settings();
        data_ = prepare_data(settings, {});
        protocol_.lengths = {16, 32, 64};
        protocol_.train_length = 32;
        protocol_.samples = 6;
    }

    std::unique_ptr<MaskedLanguageModel> model(const std::string& encoding, std::int64_t max_length = 64) const {
        ModelSettings settings = tiny_.settings().model;
        settings.max_length = max_length;
        settings.vocab_size = data_.tokenizer->vocab_size();
        settings.position = {default_position(encoding)};
        settings.initializer_range = 0.3;  // losses far from ln V, so that positions and neighbours show
        auto made = std::make_unique<MaskedLanguageModel>(settings, DType::float64);
        made->initialize(1);
        return made;
    }

    std::vector<LengthRow> evaluate(const MaskedLanguageModel& model) const {
        return evaluate_lengths(model, *data_.valid_shards, *data_.tokenizer, protocol_);
    }
    PairedWindows windows() const {
        return {*data_.valid_shards, *data_.tokenizer, 64, protocol_.boundary, 0.15, 0, 6};
    }
    void expect_refused(const MaskedLanguageModel& model, const std::string& part) const {
        try {
            evaluate(model);
            FAIL() << "no error; expected: " << part;
        } catch (const ConfigurationError& error) {
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
        }
    }

    TinyRun tiny_;
    PreparedData data_;
    LengthProtocol protocol_;
};

/// The row of the bucket that begins at `begin`.
const LengthRow& find(const std::vector<LengthRow>& rows, std::int64_t length, const std::string& scheme = "chunked",
                      const std::string& bucket = "all", std::int64_t begin = 0, const std::string& beyond = "") {
    for (const LengthRow& row : rows)
        if (row.length == length && row.scheme == scheme && row.bucket.name == bucket && row.bucket.begin == begin &&
            (beyond.empty() || row.beyond == beyond))
            return row;
    throw std::runtime_error("no row " + scheme + " " + bucket + " " + std::to_string(begin) + " at " +
                             std::to_string(length));
}

TEST_F(LengthEvaluation, EveryTargetHasALossAtEveryLength) {
    for (const char* boundary : {"none", "cls_sep"}) {
        protocol_.boundary = boundary;
        const auto net = model("sinusoidal");
        const PairedWindows there = windows();
        MaskedSample window;
        std::int64_t targets = 0, central = 0;
        for (std::int64_t index = 0; index < there.count(); ++index) {
            there.read(index, window);
            targets += static_cast<std::int64_t>(window.targets.size());
            const Chunk whole = cut_window(there.window_tokens(), there.window_tokens(), "centred")[0];
            const TargetRange scored = scored_targets(window, whole);
            central += static_cast<std::int64_t>(scored.last - scored.first);
        }
        const std::vector<LengthRow> rows = evaluate(*net);
        for (const std::int64_t length : protocol_.lengths) {
            EXPECT_EQ(find(rows, length).masked, targets) << boundary << length;
            EXPECT_EQ(find(rows, length, "centred").masked, central) << boundary << length;
        }
        EXPECT_GT(central, 10);
    }
}

TEST_F(LengthEvaluation, ALossIsThatOfAPlainForwardOfTheChunk) {
    const auto net = model("absolute");
    const PairedWindows there = windows();
    MaskedSample window;
    there.read(3, window);
    const std::vector<Chunk> chunks = cut_window(there.window_tokens(), there.capacity(16), "chunked");
    const TargetLosses losses = ChunkLosses(there).compute(*net, {window, window}, chunks, 0, {})[1];
    for (const Chunk& chunk : chunks) {
        TokenBatch batch;
        batch.clear();
        there.append(window, chunk, batch);
        if (batch.rows() == 0) continue;
        BatchTensors tensors;
        tensors.fill(batch, 0);
        Arena arena;
        Tape tape(arena);
        tape.set_recording(false);
        const Tensor logits =
            net->logits(tape, net->encode(tape, tensors.input(), {}), tensors.input(), tensors.targets().rows).value();
        const std::int64_t vocabulary = logits.shape[1];
        std::size_t target = scored_targets(window, chunk).first;
        for (std::size_t row = 0; row < batch.targets.size(); ++row, ++target) {
            const double* const score = logits.as<double>() + static_cast<std::int64_t>(row) * vocabulary;
            double sum = 0;
            for (std::int64_t v = 0; v < vocabulary; ++v) sum += std::exp(score[v]);
            EXPECT_NEAR(losses.loss[target], std::log(sum) - score[window.targets[target]], 1e-10);
        }
    }
}

TEST_F(LengthEvaluation, ASecondEvaluationGivesTheSameBits) {
    const auto net = model("t5_bias");
    protocol_.window = 8;
    const auto csv = [&] { return length_csv(net->settings(), 32, evaluate(*net)); };
    const std::string once = csv();
    EXPECT_EQ(csv(), once);
    protocol_.seed = 1;
    EXPECT_NE(csv(), once);
}

TEST_F(LengthEvaluation, DeltaIsTheDifferenceOfTheSameTargets) {
    const auto net = model("sinusoidal");
    const std::vector<LengthRow> rows = evaluate(*net);
    for (const char* scheme : {"chunked", "centred"}) {
        for (const std::int64_t length : protocol_.lengths) {
            const LengthRow& row = find(rows, length, scheme);
            ASSERT_TRUE(row.delta && row.delta_interval && row.loss_interval);
            EXPECT_NEAR(*row.delta, row.loss - find(rows, 32, scheme).loss, 1e-12);
            EXPECT_LE(row.delta_interval->low, *row.delta);
            EXPECT_GE(row.delta_interval->high, *row.delta);
        }
        EXPECT_EQ(*find(rows, 32, scheme).delta, 0);
        EXPECT_EQ(find(rows, 32, scheme).delta_interval->high, 0);
        EXPECT_NE(*find(rows, 64, scheme).delta, 0);
    }
}

TEST_F(LengthEvaluation, WithoutTheTrainingLengthThereIsNoDelta) {
    const auto net = model("none");
    protocol_.lengths = {16, 64};
    for (const LengthRow& row : evaluate(*net)) EXPECT_FALSE(row.delta || row.delta_interval);
    protocol_.train_length = 0;  // not known: the shortest length stands in
    EXPECT_EQ(*find(evaluate(*net), 16).delta, 0);
}

TEST_F(LengthEvaluation, BucketsShareOutTheTargets) {
    protocol_.boundary = "none";
    const std::vector<LengthRow> rows = evaluate(*model("alibi"));
    for (const std::int64_t length : protocol_.lengths) {
        std::map<std::string, std::int64_t> masked;
        std::map<std::string, double> loss;
        for (const LengthRow& row : rows) {
            if (row.length != length || row.scheme != "chunked") continue;
            masked[row.bucket.name] += row.masked;
            loss[row.bucket.name] += row.loss * static_cast<double>(row.masked);
        }
        for (const char* bucket : {"edge", "index"}) {
            EXPECT_EQ(masked[bucket], masked["all"]) << bucket << length;
            EXPECT_NEAR(loss[bucket], loss["all"], 1e-9) << bucket << length;
        }
    }
    EXPECT_EQ(find(rows, 64, "chunked", "edge", 16).bucket.end, 32);
    EXPECT_THROW(find(rows, 32, "chunked", "edge", 16),
                 std::runtime_error);  // nothing is 16 away from both edges of 32
    EXPECT_EQ(find(rows, 64, "chunked", "index", 32).bucket.end, 64);
    EXPECT_THROW(find(rows, 32, "chunked", "index", 32), std::runtime_error);
}

TEST_F(LengthEvaluation, TheInteriorIsTheSameTargetsAtEveryLength) {
    protocol_.train_length = 16;
    for (const char* scheme : {"chunked", "centred"}) {
        const std::vector<LengthRow> rows = evaluate(*model("alibi"));
        const LengthRow& longest = find(rows, 64, scheme, "interior", 8);
        EXPECT_GT(longest.masked, 0);
        EXPECT_LE(longest.masked, find(rows, 64, scheme).masked);
        for (const std::int64_t length : {16, 32})
            EXPECT_EQ(find(rows, length, scheme, "interior", 8).masked, longest.masked);
    }
    const std::vector<LengthRow> rows = evaluate(*model("alibi"));
    EXPECT_LT(find(rows, 64, "chunked", "interior", 8).masked, find(rows, 64).masked);
    protocol_.train_length = 64;  // nothing is longer
    EXPECT_THROW(find(evaluate(*model("alibi")), 64, "chunked", "interior", 32), std::runtime_error);
}

TEST_F(LengthEvaluation, WithoutPositionsTheOrderOfTheTextIsNoMatter) {
    const PairedWindows there = windows();
    MaskedSample window, mirrored;
    there.read(2, window);
    const auto last = static_cast<std::int32_t>(window.ids.size()) - 1;
    mirrored.ids.assign(window.ids.rbegin(), window.ids.rend());
    mirrored.targets.assign(window.targets.rbegin(), window.targets.rend());
    for (auto place = window.positions.rbegin(); place != window.positions.rend(); ++place)
        mirrored.positions.push_back(last - *place);
    const std::vector<Chunk> whole = cut_window(last + 1, last + 1, "chunked");
    const auto difference = [&](const std::string& encoding) {
        const std::vector<TargetLosses> losses =
            ChunkLosses(there).compute(*model(encoding), {window, mirrored}, whole, 0, {});
        double largest = 0;
        for (std::size_t t = 0; t < window.targets.size(); ++t)
            largest = std::max(largest, std::abs(losses[0].loss[t] - losses[1].loss[window.targets.size() - 1 - t]));
        return largest;
    };
    EXPECT_LE(difference("none"), 1e-10);
    EXPECT_GT(difference("sinusoidal"), 1e-3);
}

TEST_F(LengthEvaluation, EveryPolicyHasItsRowsWhereALengthNeedsOne) {
    const auto net = model("absolute", 32);
    const std::vector<LengthRow> rows = evaluate(*net);
    for (const char* beyond : {"clip", "tile", "zero", "random", "interp", "hier"}) {
        EXPECT_EQ(find(rows, 32, "chunked", "all", 0, beyond).loss, find(rows, 32).loss) << beyond;
        if (std::string(beyond) != "clip") {
            EXPECT_NE(find(rows, 64, "chunked", "all", 0, beyond).loss,
                      find(rows, 64, "chunked", "all", 0, "clip").loss)
                << beyond;
        }
    }
    EXPECT_THROW(find(rows, 32, "chunked", "all", 0, "error"), std::runtime_error);
    protocol_.beyond = {"tile"};
    for (const LengthRow& row : evaluate(*net)) EXPECT_EQ(row.beyond, "tile");
    protocol_.beyond.clear();
    protocol_.lengths = {16, 32};
    for (const LengthRow& row : evaluate(*net)) EXPECT_EQ(row.beyond, "error");  // the model's own; nothing needs it
}

TEST_F(LengthEvaluation, AWindowAsWideAsTheTextIsNoControl) {
    const auto net = model("t5_bias");
    protocol_.window = 64;
    const std::vector<LengthRow> rows = evaluate(*net);
    EXPECT_NEAR(find(rows, 64, "chunked+window64").loss, find(rows, 64).loss, 1e-12);
    protocol_.window = 2;
    const std::vector<LengthRow> narrow = evaluate(*net);
    EXPECT_GT(std::abs(find(narrow, 64, "chunked+window2").loss - find(narrow, 64).loss), 1e-4);
    EXPECT_EQ(find(narrow, 64).loss, find(rows, 64).loss);
    EXPECT_NEAR(*find(narrow, 64, "centred+window2").delta,
                find(narrow, 64, "centred+window2").loss - find(narrow, 32, "centred").loss, 1e-12);
}

TEST_F(LengthEvaluation, LogNIsTheModelItselfAtTheTrainingLength) {
    protocol_.logn = true;
    protocol_.boundary = "none";
    const std::vector<LengthRow> rows = evaluate(*model("rope"));
    EXPECT_EQ(find(rows, 32, "chunked+logn").loss, find(rows, 32).loss);
    EXPECT_NE(find(rows, 64, "chunked+logn").loss, find(rows, 64).loss);
}

TEST_F(LengthEvaluation, AShiftIsSeenByAbsoluteEncodingsAlone) {
    protocol_.lengths = {16, 32};
    protocol_.shift = 32;
    for (const char* encoding : {"none", "t5_bias", "alibi", "disentangled"}) {
        const std::vector<LengthRow> rows = evaluate(*model(encoding));
        EXPECT_NEAR(find(rows, 32, "chunked+shift32").loss, find(rows, 32).loss, 1e-12) << encoding;
    }
    const std::vector<LengthRow> rows = evaluate(*model("absolute"));
    EXPECT_GT(std::abs(*find(rows, 32, "chunked+shift32").delta), 1e-4);
    EXPECT_EQ(find(rows, 32, "chunked+shift32", "index", 32).masked, find(rows, 32).masked);
    const std::vector<LengthRow> past = evaluate(*model("absolute", 32));
    EXPECT_NE(find(past, 32, "chunked+shift32", "all", 0, "clip").loss,
              find(past, 32, "chunked+shift32", "all", 0, "tile").loss);
}

TEST_F(LengthEvaluation, ImpossibleSettingsAreRefused) {
    const auto absolute = model("absolute", 32), none = model("none"), tupe = model("tupe", 32);
    const LengthProtocol good = protocol_;
    const auto expect = [&](const std::function<void(LengthProtocol&)>& change, const std::string& part,
                            const MaskedLanguageModel& net) {
        protocol_ = good;
        change(protocol_);
        expect_refused(net, part);
    };
    expect([](LengthProtocol& p) { p.lengths = {}; }, "--lengths is empty", *none);
    expect([](LengthProtocol& p) { p.lengths = {16, 32, 16}; }, "--lengths names 16 twice", *none);
    expect([](LengthProtocol& p) { p.lengths = {4, 16}; }, "4 is below 8", *none);
    expect(
        [](LengthProtocol& p) {
            p.lengths = {24, 64}, p.boundary = "none";
        },
        "24 does not divide the longest", *none);
    expect([](LengthProtocol& p) { p.boundary = "cls"; }, "choose none or cls_sep", *none);
    expect([](LengthProtocol& p) { p.schemes = {"sliding"}; }, "there are chunked and centred", *none);
    expect([](LengthProtocol& p) { p.mask_probability = 0; }, "--mask-probability 0", *none);
    expect([](LengthProtocol& p) { p.mask_probability = NAN; }, "--mask-probability nan", *none);
    expect([](LengthProtocol& p) { p.logn = true, p.train_length = 0; }, "--logn compares lengths", *none);
    expect([](LengthProtocol& p) { p.beyond = {"clip"}; }, "no encoding of this model has a table", *none);
    expect([](LengthProtocol& p) { p.beyond = {"wrap"}; }, "there are: error, clip, tile", *absolute);
    expect([](LengthProtocol& p) { p.beyond = {"error"}; }, "--lengths 64: the model takes 32 tokens at most",
           *absolute);
    expect([](LengthProtocol&) {}, "--lengths 64: the model takes 32 tokens at most", *tupe);
    expect([](LengthProtocol& p) { p.beyond = {"error"}, p.lengths = {32}, p.shift = 8; },
           "--shift 8 with --lengths 32", *absolute);
}

TEST_F(LengthEvaluation, TheLossesOfSingleTargetsAreThoseThatTheRowsSum) {
    protocol_.window = 8;
    std::map<std::string, std::vector<double>> losses;
    const auto observe = [&](const WindowLosses& window) {
        for (const double loss : window.losses.loss)
            if (!std::isnan(loss)) losses[fmt::format("{} {}", window.scheme, window.length)].push_back(loss);
        const nlohmann::json line = nlohmann::json::parse(json_of(window));
        EXPECT_EQ(line["positions"].size(), line["losses"].size());
        EXPECT_EQ(line["ids"].size(), 62U);  // without [CLS] and [SEP]
        EXPECT_EQ(line["ids"][line["positions"][0].get<std::size_t>()], data_.tokenizer->special().mask);
    };
    const std::vector<LengthRow> rows =
        evaluate_lengths(*model("rope"), *data_.valid_shards, *data_.tokenizer, protocol_, {}, observe);
    for (const char* scheme : {"chunked", "centred", "chunked+window8", "centred+window8"}) {
        for (const std::int64_t length : protocol_.lengths) {
            const LengthRow& row = find(rows, length, scheme);
            const std::vector<double>& found = losses[fmt::format("{} {}", scheme, length)];
            ASSERT_EQ(static_cast<std::int64_t>(found.size()), row.masked);
            EXPECT_NEAR(std::accumulate(found.begin(), found.end(), 0.0) / static_cast<double>(found.size()), row.loss,
                        1e-12);
        }
    }
}

TEST_F(LengthEvaluation, ATextShorterThanAWindowIsRefused) {
    protocol_.lengths = {16, 1'000'000};
    EXPECT_THROW(evaluate(*model("none")), DataError);
}

TEST_F(LengthEvaluation, ProgressEndsNearTheAnnouncedTokens) {
    std::int64_t last = 0, announced = 0;
    evaluate_lengths(*model("none"), *data_.valid_shards, *data_.tokenizer, protocol_,
                     [&](std::int64_t done, std::int64_t total) {
                         EXPECT_GT(done, last);
                         last = done;
                         announced = total;
                     });
    EXPECT_LE(last, announced);
    EXPECT_GT(last, announced / 2);
}

TEST(LengthCsv, HasOneRowPerBucketAndEmptyCellsForWhatIsNotDefined) {
    ModelSettings model;
    model.position = {{"absolute", {{"beyond", std::string("clip")}}}, {"relative_key", {}}};
    LengthRow row;
    row.beyond = "clip";
    row.length = 128;
    row.scheme = "chunked+window32";
    row.bucket = {"edge", 8, 16};
    row.loss = 2.5;
    row.masked_accuracy = 0.25;
    row.masked = 90;
    LengthRow whole = row;
    whole.loss_interval = Interval{2.25, 2.75};
    whole.delta = 0.5;
    whole.delta_interval = Interval{0.25, 0.75};
    EXPECT_EQ(length_csv(model, 64, {row, whole}),
              "encoding,beyond,train_length,length,scheme,bucket,bucket_begin,bucket_end,loss,masked_accuracy,"
              "masked_tokens,loss_ci_low,loss_ci_high,delta,delta_ci_low,delta_ci_high\n"
              "absolute+relative_key,clip,64,128,chunked+window32,edge,8,16,2.5,0.25,90,,,,,\n"
              "absolute+relative_key,clip,64,128,chunked+window32,edge,8,16,2.5,0.25,90,2.25,2.75,0.5,0.25,0.75\n");
    EXPECT_NE(length_csv(model, 0, {row}).find("\nabsolute+relative_key,clip,,128"), std::string::npos);
}

}  // namespace
}  // namespace locus
