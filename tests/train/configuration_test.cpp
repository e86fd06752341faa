#include "train/configuration.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "model/hugging_face.h"
#include "model/position/position_encoding.h"
#include "tests/train/temporary_folder.h"
#include "train/configuration/nearest_name.h"
#include "train/configuration/schema.h"
#include "train/configuration/values.h"
#include "train/error.h"

namespace locus {
namespace {

const std::string data = "data: {train: [a.txt], valid: [b.txt]}\n";

/// The message of the error that reading `yaml` ends in; empty when it does not.
std::string error_of(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
    try {
        parse_configuration(yaml, "test.yaml", overrides);
    } catch (const ConfigurationError& error) {
        return error.what();
    }
    return {};
}

Settings read(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
    return parse_configuration(yaml, "test.yaml", overrides);
}

std::size_t lines_of(const std::string& text) {
    std::size_t lines = text.empty() ? 0 : 1;
    for (char c : text) lines += c == '\n' ? 1 : 0;
    return lines;
}

struct Case {
    const char* name;
    std::string yaml;
    std::vector<std::string> expected;  // each stands in the message
    std::vector<std::string> overrides = {};
};

void PrintTo(const Case& printed, std::ostream* out) { *out << printed.name; }

class Refused : public testing::TestWithParam<Case> {};

TEST_P(Refused, WithAMessageThatSaysWhereWhatAndWhy) {
    const std::string message = error_of(GetParam().yaml, GetParam().overrides);
    ASSERT_FALSE(message.empty()) << "the configuration was accepted";
    for (const std::string& part : GetParam().expected)
        EXPECT_NE(message.find(part), std::string::npos) << part << "\nin\n" << message;
    EXPECT_EQ(lines_of(message), 1U) << message;
}

std::string case_name(const testing::TestParamInfo<Case>& info) { return info.param.name; }

std::vector<Case> key_cases() {
    return {
        {"MisspeltKey", data + "train:\n  stepz: 3\n", {"test.yaml:3:3: train.stepz", "did you mean train.steps?"}},
        {"SwappedLetters", data + "train: {batch_szie: 3}\n", {"test.yaml:2:9", "did you mean train.batch_size?"}},
        {"Hyphen", data + "train:\n  batch-size: 3\n", {"test.yaml:3:3", "underscores", "train.batch_size"}},
        {"WrongSection",
         data + "train:\n  learning_rate: 1e-3\n",
         {"test.yaml:3:3", "learning_rate belongs under train.optimizer"}},
        {"WrongSectionAtTheTop", data + "heads: 4\n", {"test.yaml:2:1", "heads belongs under model"}},
        {"NameOfSeveralSections",
         data + "model: {type: bert}\n",
         {"type belongs under data.tokenizer, train.optimizer or train.schedule"}},
        {"SectionInsideASection", data + "train: {model: {layers: 2}}\n", {"model stands at the top"}},
        {"OptionOutsidePosition",
         data + "model: {beyond: clip}\n",
         {"beyond belongs under model.position", "absolute"}},
        {"MisspeltInAnotherSection",
         data + "run: {learning_rat: 1}\n",
         {"did you mean train.optimizer.learning_rate?"}},
        {"UnknownSection",
         data + "trian:\n  steps: 3\n",
         {"test.yaml:2:1: trian: unknown section", "did you mean train?"}},
        {"NothingNear", data + "zzzzzzzz: 1\n", {"unknown section", "known: data, model, run and train"}},
        {"NoValue", data + "train:\n  steps:\n", {"test.yaml:3:3: train.steps: has no value"}},
        {"SectionAsValue", data + "train: 5\n", {"test.yaml:2:8: train: expects keys and values", "a single value"}},
        {"ListForNumber", data + "train: {steps: [1, 2]}\n", {"train.steps: expects a whole number, not a list"}},
        {"MappingForText", data + "run: {name: {a: 1}}\n", {"run.name: expects a text, not a mapping"}},
        {"ListInList",
         "data: {train: [[a]], valid: [b]}\n",
         {"data.train: expects a list of texts; one item is a list"}},
        {"UnknownChoice",
         data + "train: {schedule: {type: linaer}}\n",
         {"does not know \"linaer\"", "did you mean linear?"}},
        {"UnknownChoiceFarAway",
         data + "run: {device: quantum}\n",
         {"run.device: does not know \"quantum\"; known: auto, cpu, cuda and simt"}},
    };
}

std::vector<Case> value_cases() {
    const auto rate = [](const std::string& value) {
        return data + "train:\n  optimizer:\n    learning_rate: " + value + "\n";
    };
    const auto flag = [](const std::string& value) {
        return "data:\n  train: [a]\n  valid: [b]\n  tokenizer:\n    lowercase: " + value + "\n";
    };
    const auto steps = [](const std::string& value) { return data + "train:\n  steps: " + value + "\n"; };
    return {
        {"LettersAfterNumber", rate("1e-4x"), {"test.yaml:4:20", "expects a number, not \"1e-4x\""}},
        {"NotANumber", rate("nan"), {"not finite"}},
        {"NotANumberYaml", rate(".nan"), {"not finite"}},
        {"Infinite", rate("inf"), {"not finite"}},
        {"InfiniteYaml", rate("-.inf"), {"not finite"}},
        {"TooLarge", rate("1e999"), {"out of the range"}},
        {"TwoPoints", rate("1.2.3"), {"expects a number"}},
        {"LoneExponent", rate("e5"), {"expects a number"}},
        {"Negative", rate("-1e-3"), {"train.optimizer.learning_rate: must be above 0, not -0.001"}},
        {"Zero", rate("0"), {"must be above 0"}},
        {"Octal", steps("010"), {"test.yaml:3:10", "leading zero"}},
        {"Hexadecimal", steps("0x10"), {"decimal", "0x10"}},
        {"Sexagesimal", steps("1:30"), {"not a time"}},
        {"Fraction", steps("2.5"), {"expects a whole number, not 2.5"}},
        {"HugeInteger", steps("1e300"), {"out of the range"}},
        {"ZeroSteps", steps("0"), {"train.steps: must be at least 1 and at most 2147483647, not 0"}},
        {"EmptyText", steps("\"\""), {"not an empty text"}},
        {"Yes", flag("yes"), {"test.yaml:5:16", "expects true or false, not \"yes\": write true"}},
        {"No", flag("no"), {"write false"}},
        {"On", flag("on"), {"write true"}},
        {"Off", flag("off"), {"write false"}},
        {"CapitalTrue", flag("True"), {"write true"}},
        {"Maybe", flag("maybe"), {"expects true or false, not \"maybe\""}},
        {"OneBeta", data + "train: {optimizer: {betas: [0.9]}}\n", {"a list of two numbers"}},
        {"BetaOfOne",
         data + "train: {optimizer: {betas: [0.9, 1.0]}}\n",
         {"train.optimizer.betas: must be at least 0 and below 1"}},
        {"NegativeSeed", data + "run: {seed: -1}\n", {"run.seed: must be at least 0"}},
        {"SeedBeyond32Bits", data + "run: {seed: 4294967296}\n", {"at most 4294967295"}},
        {"DropoutOfOne",
         data + "model: {dropout: {hidden: 1.0}}\n",
         {"model.dropout.hidden: must be at least 0 and below 1, not 1"}},
        {"DropoutAsNumber", data + "model: {dropout: 0.1}\n", {"model.dropout: expects keys and values"}},
        {"EmptyBatch", data + "train: {batch_size: 0}\n", {"train.batch_size: must be at least 1"}},
    };
}

std::vector<Case> yaml_cases() {
    return {
        {"Empty", "", {"test.yaml:1:1: the configuration is empty"}},
        {"OnlyComments", "# nothing\n\n", {"the configuration is empty"}},
        {"NotAMapping", "- a\n- b\n", {"a configuration expects keys and values", "a list"}},
        {"DuplicateKey",
         data + "train:\n  steps: 1\n  steps: 2\n",
         {"test.yaml:4:3: steps is given twice; the first is on line 3"}},
        {"DuplicateSection",
         data + "train: {steps: 1}\ntrain: {log_every: 2}\n",
         {"test.yaml:3:1: train is given twice"}},
        {"TabIndentation", data + "train:\n\tsteps: 1\n", {"test.yaml:3:1: a tab in the indentation"}},
        {"TabAfterSpaces", data + "train:\n  \tsteps: 1\n", {"test.yaml:3:3: a tab in the indentation"}},
        {"NotUtf8", data + "run: {name: \xff}\n", {"test.yaml:2:13: not UTF-8 text"}},
        {"Binary", data + "run: {name: " + std::string(1, '\0') + "}\n", {"test.yaml:2:13: not UTF-8 text"}},
        {"Anchor", data + "train:\n  steps: &n 100\n", {"test.yaml:3:10: the anchor &n is not read"}},
        {"Tag", data + "train:\n  steps: !!int 100\n", {"the tag tag:yaml.org,2002:int is not read"}},
        {"KeyThatIsAList", data + "? [a, b]\n: 1\n", {"a key must be a name, not a list"}},
        {"TwoDocuments", data + "---\n" + data, {"more than one YAML document"}},
        {"UnclosedBracket", "data: {train: [a.txt}\n", {"test.yaml:1:", "not YAML"}},
        {"BadIndentation", "data:\n  train: [a]\n train: 3\n", {"test.yaml:3:", "not YAML"}},
    };
}

std::vector<Case> combination_cases() {
    return {
        {"EnhancedDecoderOnOneLayer",
         data + "model: {layers: 1, mask_decoder: enhanced}\n",
         {"model.mask_decoder enhanced", "model.layers is 1"}},
        {"PassesOfAPlainDecoder",
         data + "model: {decoder_passes: 3}\n",
         {"model.decoder_passes has no effect", "model.mask_decoder plain"}},
        {"EvenConvolution", data + "model: {convolution: {kernel: 4}}\n", {"model.convolution.kernel 4 must be odd"}},
        {"ActivationOfNoConvolution",
         data + "model: {convolution: {activation: gelu}}\n",
         {"model.convolution.activation has no effect"}},
        {"SpanLengthOfTokens",
         "data: {train: [a], valid: [b], masking: {longest_span: 3}}\n",
         {"data.masking.longest_span has no effect", "unit token"}},
        {"UnknownTermInAList",
         data + "model: {position: {encoding: disentangled, terms: [c2p, c2c]}}\n",
         {"model.position.terms: does not know"}},
        {"HeadsDoNotDivide",
         data + "model: {hidden: 100, heads: 3}\n",
         {"test.yaml:2:", "model.hidden 100 is not a multiple of model.heads 3"}},
        {"WarmupLongerThanTraining",
         data + "train: {steps: 10, schedule: {warmup: 11}}\n",
         {"train.schedule.warmup 11", "train.steps 10"}},
        {"WarmupAndDecay",
         data + "train: {steps: 10, schedule: {type: warmup_stable_decay, warmup: 6, decay: 5}}\n",
         {"train.schedule.warmup 6 and train.schedule.decay 5", "train.steps 10"}},
        {"MaskingShares",
         "data: {train: [a], valid: [b], masking: {mask: 1.0}}\n",
         {"mask 1, random 0.1 and keep 0.1 add up to 1.2", "must add up to 1"}},
        {"FilesAndSynthetic",
         "data: {train: [a], valid: [b], synthetic: {}}\n",
         {"data.train and data.synthetic are both given"}},
        {"ValidAndSynthetic", "data: {valid: [a], synthetic: {}}\n", {"data.valid and data.synthetic are both given"}},
        {"NoCorpus", "data: {sequence_length: 64}\n", {"neither data.train", "nor data.synthetic"}},
        {"NoValidation", "data: {train: [a]}\n", {"test.yaml:1:8: data.train is given without data.valid"}},
        {"NullSynthetic", "data: {synthetic: }\n", {"nor data.synthetic ({} for its defaults)"}},
        {"TokenizerPathAndSize",
         "data: {train: [a], valid: [b], tokenizer: {path: t, vocab_size: 100}}\n",
         {"data.tokenizer.vocab_size has no effect beside data.tokenizer.path"}},
        {"SequenceLongerThanTable",
         "data: {train: [a], valid: [b], sequence_length: 256}\nmodel: {max_length: 128, position: absolute}\n",
         {"data.sequence_length 256 is longer than the 128 positions", "absolute", "model.max_length"}},
        {"EarlyStopWithoutValidation",
         data + "train: {early_stop: 3, evaluate_every: 0}\n",
         {"train.early_stop 3", "train.evaluate_every is 0"}},
        {"DoubleOnAGpu",
         data + "run: {device: simt, precision: float64}\n",
         {"run.device simt: float64 is for tests on the processor"}},
        {"Tf32OnTheProcessor",
         data + "run: {device: cpu, precision: tf32}\n",
         {"run.device cpu: tf32 products exist on a GPU only", "take precision float32 or bfloat16, or device cuda"}},
        {"NameWithSlash", data + "run: {name: a/b}\n", {"run.name: \"a/b\" cannot name a folder"}},
        {"BatchOfTooManyTokens",
         "data: {train: [a], valid: [b], sequence_length: 1048576}\nmodel: {position: none}\ntrain: {batch_size: "
         "4096}\n",
         {"train.batch_size 4096 times data.sequence_length 1048576"}},
    };
}

std::vector<Case> position_cases() {
    const auto position = [](const std::string& value) { return data + "model:\n  position: " + value + "\n"; };
    return {
        {"MisspeltEncoding",
         position("absolut"),
         {"test.yaml:3:13", "no encoding is called \"absolut\"; did you mean absolute?"}},
        {"UnknownEncoding", position("xyzzyxyzzy"), {"known: none, absolute"}},
        {"MisspeltOption",
         position("{encoding: absolute, beyon: clip}"),
         {"model.position.beyon", "did you mean beyond?"}},
        {"UnknownChoiceOfOption",
         position("{encoding: absolute, beyond: explode}"),
         {"model.position.beyond: does not know \"explode\""}},
        {"OptionOfAnEncodingWithout", position("{encoding: none, beyond: clip}"), {"the encoding none has no options"}},
        {"NoEncoding", position("{beyond: clip}"), {"model.position: needs a name"}},
        {"EmptyList", position("[]"), {"an empty list; write none"}},
        {"Twice", position("[absolute, absolute]"), {"test.yaml:3:24", "absolute stands twice"}},
        {"NoneBesideOthers", position("[absolute, none]"), {"none cannot stand beside other encodings"}},
    };
}

std::vector<Case> override_cases() {
    return {
        {"WrongValue",
         data,
         {"--set train.steps=abc: train.steps: expects a whole number, not \"abc\""},
         {"train.steps=abc"}},
        {"UnknownKeyOfOverride",
         data,
         {"--set train.stepz=1: train.stepz: unknown key", "train.steps"},
         {"train.stepz=1"}},
        {"ShortKey", data, {"--set steps=1", "steps belongs under train"}, {"steps=1"}},
        {"NoEquals", data, {"--set train.steps: expects key=value"}, {"train.steps"}},
        {"BelowAValue",
         data + "run: {name: x}\n",
         {"run.name is a single value and has no keys below it"},
         {"run.name.x=1"}},
        {"CrossCheck", data, {"--set model.heads=7: model.hidden 256 is not a multiple"}, {"model.heads=7"}},
    };
}

INSTANTIATE_TEST_SUITE_P(Keys, Refused, testing::ValuesIn(key_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Values, Refused, testing::ValuesIn(value_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Yaml, Refused, testing::ValuesIn(yaml_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Combinations, Refused, testing::ValuesIn(combination_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Positions, Refused, testing::ValuesIn(position_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Overrides, Refused, testing::ValuesIn(override_cases()), case_name);

struct NumberCase {
    const char* text;
    double value;
};

TEST(Configuration, NumbersAreNumbersInEverySpelling) {
    const std::vector<NumberCase> cases = {{"1e-4", 1e-4}, {"1E-4", 1e-4},  {"\"1e-4\"", 1e-4}, {"'0.5'", 0.5},
                                           {".5", 0.5},    {"5.", 5},       {"2e5", 2e5},       {"1_000", 1000},
                                           {"+1e+2", 100}, {"0.001", 0.001}};
    for (const NumberCase& number : cases) {
        const Settings settings = read(data + "train: {optimizer: {learning_rate: " + number.text + "}}\n");
        EXPECT_EQ(settings.train.optimizer.learning_rate, number.value) << number.text;
    }
}

TEST(Configuration, WholeNumbersMayBeWrittenWithExponentAndUnderscore) {
    for (const char* text : {"1000", "1_000", "1e3", "1.0e3", "10e2", "1000.0", "'1000'"}) {
        EXPECT_EQ(read(data + "train: {steps: " + text + "}\n").train.steps, 1000) << text;
    }
}

TEST(Configuration, TextsKeepTheirSpelling) {
    for (const char* text : {"010", "1e3", "no", "true", "1_0"}) {
        EXPECT_EQ(read(data + "run: {name: " + text + "}\n").run.name, text);
    }
}

TEST(Configuration, ReportsAllMistakesAtOnceInTheOrderOfTheFile) {
    const std::string message = error_of(
        "run:\n  sed: 1\ndata:\n  train: [a]\n  valid: [b]\n  sequence-length: 5\nmodel:\n  hidden: 100\n  heads: "
        "3\ntrain:\n  "
        "steps: abc\n"
        "  learning_rate: 1\nfoo: 1\n");
    EXPECT_EQ(lines_of(message), 6U) << message;
    std::size_t last = 0;
    for (const char* part : {":2:3: run.sed", ":6:3: data.sequence-length", ":9:3: model.hidden 100",
                             ":11:10: train.steps", ":12:3: train.learning_rate", ":13:1: foo"}) {
        const std::size_t at = message.find(part);
        ASSERT_NE(at, std::string::npos) << part << "\nin\n" << message;
        EXPECT_GE(at, last) << part;
        last = at;
    }
}

TEST(Configuration, AliasesAreNamedBesideTheirAnchor) {
    const std::string message = error_of(data + "train:\n  steps: &count 100\n  log_every: *count\n");
    EXPECT_NE(message.find("3:10: the anchor &count"), std::string::npos) << message;
    EXPECT_NE(message.find("4:14: the alias *count"), std::string::npos) << message;
}

TEST(Configuration, ReadsAMegabyte) {
    std::string yaml = "data:\n  valid: [b]\n  train:\n";
    for (int i = 0; i < 10000; ++i) yaml += "    - " + std::string(100, 'f') + std::to_string(i) + ".txt\n";
    ASSERT_GT(yaml.size(), 1U << 20U);
    EXPECT_EQ(read(yaml).data.train.size(), 10000U);
}

TEST(Configuration, AMegabyteOfUnknownKeysIsReportedInBoundedLength) {
    std::string yaml = data;
    for (int i = 0; i < 10000; ++i) yaml += std::string(100, 'k') + std::to_string(i) + ": 1\n";
    const std::string message = error_of(yaml);
    EXPECT_NE(message.find("and 9900 more mistakes"), std::string::npos) << message.substr(message.size() - 100);
}

TEST(Configuration, SyntheticIsSwitchedOnByItsPresence) {
    EXPECT_TRUE(read("data: {synthetic: {}}\n").data.synthetic.enabled);
    EXPECT_EQ(read("data: {synthetic: {language: chinese}}\n").data.synthetic.language, "chinese");
    EXPECT_FALSE(read(data).data.synthetic.enabled);
    EXPECT_FALSE(read("data: {synthetic: {}}\n", {"data.synthetic=null", "data.train=[a]", "data.valid=[b]"})
                     .data.synthetic.enabled);
}

TEST(Configuration, ADeviceThatIsNotThereIsRefusedWithTheReason) {
    if (is_available(Device::cuda)) GTEST_SKIP() << "there is a GPU";
    try {
        read(data + "run: {device: cuda}\n");
        FAIL() << "a GPU that is not there was taken";
    } catch (const std::exception& error) {
        EXPECT_NE(std::string(error.what()).find("run.device cuda: " + why_unavailable(Device::cuda)),
                  std::string::npos)
            << error.what();
    }
}

TEST(Configuration, FillsInDefaultsThatFollowFromOtherKeys) {
    const Settings plain = read(data);
    EXPECT_EQ(plain.run.name, "test");
    EXPECT_EQ(plain.run.device, is_available(Device::cuda) ? "cuda" : "cpu");
    EXPECT_EQ(plain.train.schedule.warmup, 200);
    EXPECT_EQ(plain.train.schedule.decay, 0);  // only warmup_stable_decay has that phase
    EXPECT_EQ(read(data + "train: {schedule: {type: warmup_stable_decay}}\n").train.schedule.decay, 400);
    EXPECT_EQ(plain.model.max_length, 512);
    ASSERT_EQ(plain.model.position.size(), 1U);
    EXPECT_EQ(plain.model.position[0].encoding, "absolute");
    EXPECT_EQ(std::get<std::string>(plain.model.position[0].options.at("beyond")), "error");
    EXPECT_EQ(read(data + "train: {steps: 50}\n").train.schedule.warmup, 5);
    EXPECT_EQ(read("data: {train: [a], valid: [b], sequence_length: 700}\n").model.max_length, 700);
}

TEST(Configuration, PositionIsANameAMappingOrAList) {
    EXPECT_EQ(read(data + "model: {position: none}\n").model.position[0].encoding, "none");
    const Settings mapping = read(data + "model: {position: {encoding: absolute, beyond: clip}}\n");
    EXPECT_EQ(std::get<std::string>(mapping.model.position[0].options.at("beyond")), "clip");
    const Settings list = read(data + "model: {position: [sinusoidal, {encoding: relative_key}]}\n");
    ASSERT_EQ(list.model.position.size(), 2U);
    EXPECT_EQ(list.model.position[1].encoding, "relative_key");
}

TEST(Configuration, ALongSequenceIsFineWhereTheTableDoesNotEnd) {
    const std::string yaml =
        "data: {train: [a], valid: [b], sequence_length: 256}\nmodel: {max_length: 128, position: ";
    EXPECT_EQ(error_of(yaml + "none}\n"), "");
    EXPECT_EQ(error_of(yaml + "sinusoidal}\n"), "");
    EXPECT_EQ(error_of(yaml + "{encoding: absolute, beyond: clip}}\n"), "");
}

TEST(Configuration, OverridesReplaceWhatTheFileSays) {
    const std::string yaml = data + "train: {steps: abc, log_every: 5}\nmodel: {position: absolute}\n";
    const Settings settings = read(yaml, {"train.steps=7", "train.steps=9", "run.name=x=y", "data.train=[b.txt, c.txt]",
                                          "model.position.beyond=clip", "train.optimizer={clip: 0}"});
    EXPECT_EQ(settings.train.steps, 9);
    EXPECT_EQ(settings.train.log_every, 5);
    EXPECT_EQ(settings.run.name, "x=y");
    EXPECT_EQ(settings.data.train, (std::vector<std::string>{"b.txt", "c.txt"}));
    EXPECT_EQ(std::get<std::string>(settings.model.position[0].options.at("beyond")), "clip");
    EXPECT_EQ(settings.train.optimizer.clip, 0.0);
}

TEST(Configuration, ExpandsTheHomeFolder) {
    const char* home = std::getenv("HOME");
    ASSERT_NE(home, nullptr);
    const Settings settings = read("data: {train: [~/a.txt, b~.txt], valid: [b], tokenizer: {path: ~/t}}\n");
    EXPECT_EQ(settings.data.train, (std::vector<std::string>{std::string(home) + "/a.txt", "b~.txt"}));
    EXPECT_EQ(settings.data.tokenizer.path, std::string(home) + "/t");
}

TEST(Configuration, WrittenConfigurationReadsBackTheSame) {
    const std::vector<std::string> cases = {
        data,
        "data: {synthetic: {language: chinese, megabytes: 3}}\nmodel: {position: none}\n",
        "data: {train: ['a: b.txt', '#c', \"\\\"q\\\"\", null.txt, '~x', '语料/*.txt'], valid: [b], tokenizer: {path: "
        "tok dir}}\n"
        "run: {name: '010', seed: 7}\n",
        data +
            "model: {position: [sinusoidal, {encoding: relative_key}], dropout: {hidden: 0, attention: 0.25}}\n"
            "train: {optimizer: {learning_rate: 0.1234567890123, betas: [0.5, 0.25]}, schedule: {type: cosine}}\n",
    };
    for (const std::string& yaml : cases) {
        const std::string once = write_configuration(read(yaml));
        const std::string twice = write_configuration(parse_configuration(once, "config.yaml"));
        EXPECT_EQ(once, twice);
        EXPECT_NE(once.find("name:"), std::string::npos);
    }
    const Settings settings = parse_configuration(write_configuration(read(cases[2])), "config.yaml");
    EXPECT_EQ(settings.data.train, read(cases[2]).data.train);
    EXPECT_EQ(settings.run.name, "010");
}

TEST(Configuration, EveryKeyIsWrittenAndExplained) {
    Settings settings =  // with whatever has to be there for a key to mean something
        read(
            "data: {train: [a], valid: [b], masking: {unit: span}}\n"
            "model: {mask_decoder: enhanced, convolution: {kernel: 3}}\n");
    const std::string written = write_configuration(settings);
    for (const ConfigurationKey& key : configuration_keys(settings)) {
        EXPECT_FALSE(key.help.empty()) << key.path;
        const bool elsewhere = key.section() == "data.synthetic" || key.path == "data.probe" ||
                               key.path == "data.tokenizer.path" || key.path == "train.init_from";
        if (elsewhere) continue;
        EXPECT_NE(written.find(key.name() + ":"), std::string::npos) << key.path;
    }
}

TEST(Configuration, DefaultsAreAllowedByTheirOwnKeys) {
    const std::string written = write_configuration(read(data));
    EXPECT_EQ(error_of(written), "");
}

TEST(Configuration, EveryConfigurationOfTheProjectParses) {
    std::size_t count = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(std::filesystem::path(LOCUS_SOURCE_DIR) / "configs")) {
        const bool is_comparison = entry.path().parent_path().filename() == "compare";  // read by comparison.h
        if (entry.path().extension() != ".yaml" || is_comparison) continue;
        ++count;
        EXPECT_NO_THROW({
            const Settings settings = read_configuration(entry.path());
            EXPECT_EQ(settings.run.name, entry.path().stem().string()) << entry.path();
        }) << entry.path();
    }
    EXPECT_GE(count, 8U);
}

// What makes the large ones comparable: deberta-base is bert-base with other positions.
TEST(Configuration, TheBaseSizesAreThoseOfThePapers) {
    const std::filesystem::path folder = std::filesystem::path(LOCUS_SOURCE_DIR) / "configs";
    for (const char* const name : {"bert-base", "deberta-base"}) {
        const Settings settings = read_configuration(folder / (std::string(name) + ".yaml"));
        EXPECT_EQ(settings.model.layers, 12) << name;
        EXPECT_EQ(settings.model.hidden, 768) << name;
        EXPECT_EQ(settings.model.heads, 12) << name;
        EXPECT_EQ(settings.model.feed_forward, 3072) << name;
        EXPECT_EQ(settings.data.sequence_length, 512) << name;
        EXPECT_EQ(settings.train.batch_size * settings.train.gradient_accumulation, 256) << name;
        EXPECT_EQ(settings.run.precision, "bfloat16") << name;
    }
}

TEST(Configuration, EveryEncodingHasAFile) {
    for (const EncodingEntry& entry : encoding_registry()) {
        const std::string name(entry.name);
        const Settings settings =
            read_configuration(std::filesystem::path(LOCUS_SOURCE_DIR) / "configs/position" / (name + ".yaml"));
        EXPECT_EQ(settings.model.position[0].encoding, name);
        EXPECT_EQ(settings.run.name, name);
    }
}

TEST(Configuration, DebertaBringsWhatItDoesUnlikeBert) {
    const ModelSettings v1 = read(data + "model: {architecture: deberta}\n").model;
    ASSERT_EQ(v1.position.size(), 2U);
    EXPECT_EQ(v1.position[0].encoding, "disentangled");
    EXPECT_EQ(std::get<std::int64_t>(v1.position[0].options.at("buckets")), 0);
    EXPECT_EQ(std::get<std::string>(v1.position[1].options.at("site")), "output");
    EXPECT_EQ(v1.mask_decoder, "enhanced");
    EXPECT_EQ(v1.token_types, 0);
    EXPECT_EQ(v1.layer_norm_epsilon, 1e-7);
    const ModelSettings v2 = read(data + "model: {architecture: deberta-v2, token_types: 2}\n").model;
    EXPECT_EQ(std::get<std::int64_t>(v2.position[0].options.at("buckets")), 256);
    EXPECT_TRUE(std::get<bool>(v2.position[0].options.at("share_projections")));
    EXPECT_TRUE(std::get<bool>(v2.position[0].options.at("table_norm")));
    EXPECT_EQ(v2.token_types, 2);
    const ModelSettings own = read(data +
                                   "model: {architecture: deberta-v2, mask_decoder: plain, position: "
                                   "{encoding: disentangled, table_norm: false, max_distance: 64}}\n")
                                  .model;
    ASSERT_EQ(own.position.size(), 1U);
    EXPECT_EQ(std::get<std::int64_t>(own.position[0].options.at("buckets")), 32);
    EXPECT_FALSE(std::get<bool>(own.position[0].options.at("table_norm")));
}

TEST(Configuration, TermsMayBeAListInAnyOrder) {
    const auto terms = [](const std::string& written) {
        const Settings settings = read(data + "model: {position: {encoding: disentangled, terms: " + written + "}}\n");
        return std::get<std::string>(settings.model.position[0].options.at("terms"));
    };
    EXPECT_EQ(terms("[p2c, c2p]"), "c2p|p2c");
    EXPECT_EQ(terms("[p2p, p2c, c2p]"), "c2p|p2c|p2p");
    EXPECT_EQ(terms("[]"), "none");
    EXPECT_EQ(terms("c2p"), "c2p");
}

TEST(Configuration, AMissingFileAndAFolderAreConfigurationErrors) {
    EXPECT_THROW(read_configuration("no-such-file.yaml"), ConfigurationError);
    EXPECT_THROW(read_configuration(LOCUS_SOURCE_DIR), ConfigurationError);
}

/// A model folder with nothing but a description of the model.
class InitialModel : public testing::Test {
protected:
    void SetUp() override {
        Settings settings = read(data + "model: {layers: 3, hidden: 48, heads: 3, feed_forward: 96}\n");
        settings.model.vocab_size = 100;
        write_text(folder_ / "config.json", hugging_face_config(settings.model));
        write_text(folder_ / "model.safetensors", "");
        yaml_ = data + "train: {init_from: '" + folder_.path().string() + "'}\n";
    }

    TemporaryFolder folder_;
    std::string yaml_;
};

TEST_F(InitialModel, GivesItsArchitecture) {
    const Settings settings = read(yaml_ + "model: {dropout: {hidden: 0.25}}\n");
    EXPECT_EQ(settings.model.layers, 3);
    EXPECT_EQ(settings.model.hidden, 48);
    EXPECT_EQ(settings.model.hidden_dropout, 0.25);
}

TEST_F(InitialModel, RefusesAnotherArchitecture) {
    const std::string message = error_of(yaml_ + "model: {layers: 4, heads: 3}\n");
    EXPECT_NE(message.find("model.layers is 4, but the model of train.init_from has 3"), std::string::npos) << message;
    EXPECT_EQ(lines_of(message), 1U) << message;
}

TEST_F(InitialModel, MayBecomeLonger) {
    const Settings settings = read(yaml_ + "model: {max_length: 1024, position: {encoding: absolute, beyond: tile}}\n");
    EXPECT_EQ(settings.model.max_length, 1024);
    EXPECT_EQ(settings.model.layers, 3);
}

TEST_F(InitialModel, RefusesSettingsOfATokenizerThatIsNotTrained) {
    const std::string message =
        error_of("data: {train: [a], valid: [b], tokenizer: {type: bytes}}\ntrain: {init_from: '" +
                 folder_.path().string() + "'}\n");
    EXPECT_NE(message.find("data.tokenizer.type has no effect beside train.init_from"), std::string::npos) << message;
}

TEST(Configuration, AttentionCanBeWindowedAndScaledByTheTrainingLength) {
    const Settings settings = read(data + "model: {attention: {window: 16, logn: true}}\n");
    EXPECT_EQ(settings.model.attention.window, 16);
    EXPECT_TRUE(settings.model.attention.logn);
    EXPECT_EQ(settings.model.train_length, settings.data.sequence_length);
    const Settings again = parse_configuration(write_configuration(settings), "config.yaml");
    EXPECT_EQ(again.model.attention.window, 16);
    EXPECT_TRUE(again.model.attention.logn);
    const std::string message = error_of(data + "model: {attention: {windw: 16}}\n");
    EXPECT_NE(message.find("model.attention.window"), std::string::npos) << message;
}

TEST(Configuration, RecomputationIsOffUnlessAskedForAndWrittenOut) {
    EXPECT_FALSE(read(data).model.recompute);
    const Settings settings = read(data + "model: {recompute: true}\n");
    EXPECT_TRUE(settings.model.recompute);
    EXPECT_TRUE(parse_configuration(write_configuration(settings), "config.yaml").model.recompute);
}

TEST_F(InitialModel, AWindowMayBeChosenAnew) {
    EXPECT_EQ(read(yaml_ + "model: {attention: {window: 16}}\n").model.attention.window, 16);
}

TEST(Configuration, WrittenDebertaReadsBackTheSame) {
    for (const char* model :
         {"architecture: deberta", "architecture: deberta-v2, convolution: {kernel: 3}, mask_decoder: plain"}) {
        const std::string once = write_configuration(read(data + "model: {" + model + "}\n"));
        EXPECT_EQ(once, write_configuration(parse_configuration(once, "config.yaml"))) << model;
    }
}

TEST_F(InitialModel, WrittenConfigurationReadsBackTheSame) {
    const std::string once = write_configuration(read(yaml_));
    EXPECT_EQ(once, write_configuration(parse_configuration(once, "config.yaml")));
}

TEST(Values, WrittenNumbersReadBackTheSame) {
    for (double value : {0.1, 1e-6, 1.0, 0.98, 123456789.0, 2.5e-17, 0.0})
        EXPECT_EQ(parse_number(write_number(value)).value, value);
}

TEST(Values, UnderscoresStandBetweenDigitsOnly) {
    for (const char* text : {"_1", "1_", "1__0", "1_.5", "1._5", "-_1"}) EXPECT_FALSE(parse_number(text)) << text;
    EXPECT_EQ(parse_number("1_0.5_5").value, 10.55);
}

TEST(NearestName, CountsInsertionsDeletionsSubstitutionsAndSwaps) {
    EXPECT_EQ(edit_distance("steps", "steps"), 0U);
    EXPECT_EQ(edit_distance("steps", "step"), 1U);
    EXPECT_EQ(edit_distance("stpes", "steps"), 1U);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
    EXPECT_EQ(edit_distance("", "abc"), 3U);
}

TEST(NearestName, IsEmptyWhenNothingIsNear) {
    EXPECT_EQ(nearest_name("layer", {"layers", "heads"}), "layers");
    EXPECT_EQ(nearest_name("zzzz", {"layers", "heads"}), "");
    EXPECT_EQ(nearest_name("Batch-Size", {"batch_size"}), "batch_size");
}

}  // namespace
}  // namespace locus
