#include "train/command_line.h"

#include <functional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "kernels/isa.h"
#include "train/commands.h"
#include "train/configuration/nearest_name.h"
#include "train/device_name.h"
#include "train/error.h"
#include "train/version.h"

namespace locus {

namespace {

/// What the command line turned out to ask for.
struct Request {
    TrainCommand train;
    EvaluateCommand evaluate;
    FillCommand fill;
    ExplainCommand explain;
    ForwardCommand forward;
    TokenizerTrainCommand tokenizer_train;
    TokenizerEncodeCommand tokenizer_encode;
    TokenizerDecodeCommand tokenizer_decode;
    InfoCommand info;
    BenchCommand bench;
    CompareCommand compare;
    std::function<int()> run;
};

/// `--set a=1 b=2 CONFIG`: the parser hands everything to --set, so the word without an equals sign is given back.
void return_positional(std::vector<std::string>& overrides, std::string& positional, const char* usage) {
    for (auto word = overrides.begin(); positional.empty() && word != overrides.end(); ++word) {
        if (word->find('=') != std::string::npos) continue;
        positional = *word;
        overrides.erase(word);
        break;
    }
    if (positional.empty()) throw ConfigurationError(fmt::format("no configuration is named; usage: {}", usage));
}

void add_overrides(CLI::App& command, std::vector<std::string>& overrides) {
    command.add_option("--set", overrides, "Replace a key: train.steps=100; the value is YAML. May be repeated")
        ->type_name("KEY=VALUE");
}

void add_threads(CLI::App& command, std::int64_t& threads) {
    command.add_option("--threads", threads, "Threads; 0: all cores that the process may use")
        ->check(CLI::Range(0, 4096));
}

void add_device(CLI::App& command, std::string& device) {
    command.add_option("--device", device, "auto, cpu, cuda, or simt: the kernels for a GPU, run on the processor")
        ->check(CLI::IsMember(device_names()));
}

CLI::App* add_command(CLI::App& parent, const char* name, const char* what, const char* examples) {
    CLI::App* command = parent.add_subcommand(name, what);
    command->footer(std::string("Examples:\n") + examples);
    return command;
}

void add_train(CLI::App& app, Request& request) {
    CLI::App* command =
        add_command(app, "train", "Pre-train a model as a YAML file says",
                    "  locus train configs/quickstart.yaml\n"
                    "  locus train configs/bert-tiny.yaml --set \"data.train=[corpus/*.txt]\" train.steps=5000\n"
                    "  locus train configs/quickstart.yaml --resume");
    TrainCommand& train = request.train;
    command->add_option("config", train.configuration, "Configuration, a YAML file")->type_name("CONFIG");
    add_overrides(*command, train.overrides);
    command->add_flag("--resume", train.resume, "Go on from the latest checkpoint, or start where there is none");
    command->add_flag("--dry-run", train.dry_run, "Read and check everything, print the plan, train nothing");
    command->final_callback([&] {
        return_positional(train.overrides, train.configuration, "locus train CONFIG [--set key=value ...]");
        request.run = [&] { return run_train(train); };
    });
}

/// What --lengths is about; none of it means anything without.
void add_protocol(CLI::App& command, CLI::Option* lengths, EvaluateCommand& evaluate) {
    const auto add = [&](const char* name, auto& field, const char* help) {
        return command.add_option(name, field, help)->needs(lengths)->group("With --lengths");
    };
    add("--schemes", evaluate.schemes, "chunked, centred; default: both")->delimiter(',')->type_name("NAME,NAME");
    add("--boundary", evaluate.boundary, "none or cls_sep; default: as the model was trained")
        ->check(CLI::IsMember({"none", "cls_sep"}));
    add("--beyond", evaluate.beyond, "What stands past a position table, as clip,tile; default: all policies but error")
        ->delimiter(',')
        ->type_name("NAME,NAME");
    add("--mask-probability", evaluate.mask_probability, "Share of the tokens to predict");
    add("--seed", evaluate.seed, "Of masks and intervals");
    add("--window", evaluate.window, "Control: attention sees this far to either side")
        ->check(CLI::Range(1, 1'048'576));
    add("--shift", evaluate.shift, "Control: chunks begin at this position")->check(CLI::Range(1, 1'048'576));
    add("--targets", evaluate.targets, "Write every target's loss at every length here, as JSON lines")
        ->type_name("FILE");
    command.add_flag("--logn", evaluate.logn, "Control: scores times log n / log L")
        ->needs(lengths)
        ->group("With --lengths");
}

void add_evaluate(CLI::App& app, Request& request) {
    CLI::App* command = add_command(
        app, "evaluate", "Masked-LM loss and accuracy on text: as training validates, or by length and position",
        "  locus evaluate runs/quickstart --text held-out.txt\n"
        "  locus evaluate runs/quickstart --text held-out.txt --lengths 64,128,256,512\n"
        "  locus evaluate runs/quickstart --text held-out.txt --lengths 128,512 --beyond clip,tile --window 64\n"
        "  locus evaluate runs/order");
    EvaluateCommand& evaluate = request.evaluate;
    command->add_option("model", evaluate.model, "Run, checkpoint or Hugging Face folder")
        ->type_name("MODEL")
        ->required();
    command->add_option("--text", evaluate.text, "Files and globs; none for a model that was trained on a probe")
        ->type_name("FILE");
    CLI::Option* const lengths =
        command->add_option("--lengths", evaluate.lengths, "Paired comparison of these lengths, as 64,128,256")
            ->delimiter(',')
            ->type_name("N,N")
            ->check(CLI::Range(8, 1'048'576));
    command
        ->add_option("--csv", evaluate.csv, "Write the figures here; default: length_extrapolation.csv in a run folder")
        ->type_name("FILE");
    command
        ->add_option("--samples", evaluate.samples,
                     "Windows of the longest length, or without --lengths sequences, at most; 0: all. "
                     "Examples per length of a probe; 0: 1000")
        ->check(CLI::NonNegativeNumber);
    add_threads(*command, evaluate.threads);
    add_device(*command, evaluate.device);
    add_protocol(*command, lengths, evaluate);
    command->final_callback([&] { request.run = [&] { return run_evaluate(evaluate); }; });
}

void add_fill(CLI::App& app, Request& request) {
    CLI::App* command =
        add_command(app, "fill", "Fill the [MASK] tokens of a text",
                    "  locus fill runs/quickstart \"a new [MASK] opened beside the new [MASK]\" --top 5");
    FillCommand& fill = request.fill;
    command->add_option("model", fill.model, "Run, checkpoint or Hugging Face folder")->type_name("MODEL")->required();
    command->add_option("text", fill.text, "Text with [MASK] in it")->type_name("TEXT")->required();
    command->add_option("--top", fill.top, "Candidates for each mask")->check(CLI::Range(1, 1000));
    add_threads(*command, fill.threads);
    add_device(*command, fill.device);
    command->final_callback([&] { request.run = [&] { return run_fill(fill); }; });
}

void add_explain(CLI::App& app, Request& request) {
    CLI::App* command =
        add_command(app, "explain", "The terms of the attention score, as numbers; --toy: on four tokens, by hand",
                    "  locus explain runs/quickstart \"a new [MASK] opened .\" --layer 0 --head 1\n"
                    "  locus explain runs/quickstart \"a new store opened .\" --query store --csv terms.csv\n"
                    "  locus explain --toy disentangled");
    ExplainCommand& explain = request.explain;
    command->add_option("model", explain.model, "Run, checkpoint or Hugging Face folder")->type_name("MODEL");
    command->add_option("text", explain.text, "Text; [MASK] may be in it")->type_name("TEXT");
    command->add_option("--layer", explain.layer, "From 0; default: the last");
    command->add_option("--head", explain.head, "From 0");
    command->add_option("--query", explain.query,
                        "Whose scores to print: a number or a token; default: the first [MASK], else the middle");
    command->add_option("--csv", explain.csv, "Write every term of every query and key here")->type_name("FILE");
    CLI::Option* const toy =
        command->add_option("--toy", explain.encoding, "An encoding worked through on four tokens");
    toy->expected(0, 1)->type_name("[ENCODING]");
    add_threads(*command, explain.threads);
    add_device(*command, explain.device);
    command->final_callback([&, toy] {
        explain.toy = toy->count() > 0;
        request.run = [&] { return run_explain(explain); };
    });
}

void add_forward(CLI::App& app, Request& request) {
    CLI::App* command =
        add_command(app, "forward", "Logits and hidden states of given token ids, for comparison with other programs",
                    "  locus forward runs/quickstart --input in.safetensors --output out.safetensors\n"
                    "  in:  input_ids [B,S], optional attention_mask [B,S] and token_type_ids [B,S] (int64 or int32)\n"
                    "  out: logits [B,S,V], hidden_states.0 .. hidden_states.LAYERS [B,S,H] (float32)");
    ForwardCommand& forward = request.forward;
    command->add_option("model", forward.model, "Run, checkpoint or Hugging Face folder")
        ->type_name("MODEL")
        ->required();
    command->add_option("--input", forward.input, "Token ids")->type_name("FILE")->required();
    command->add_option("--output", forward.output, "Logits and hidden states")->type_name("FILE")->required();
    add_threads(*command, forward.threads);
    add_device(*command, forward.device);
    command->final_callback([&] { request.run = [&] { return run_forward(forward); }; });
}

void add_tokenizer_train(CLI::App& tokenizer, Request& request) {
    CLI::App* command = add_command(tokenizer, "train", "Make a vocabulary from text",
                                    "  locus tokenizer train corpus/*.txt --output my-tokenizer --vocab-size 8192");
    TokenizerTrainCommand& train = request.tokenizer_train;
    command->add_option("files", train.files, "Files and globs")->type_name("FILE")->required();
    command->add_option("--output", train.output, "Folder for the tokenizer")->type_name("FOLDER")->required();
    command->add_option("--type", train.type, "wordpiece, bytes or characters")
        ->check(CLI::IsMember({"wordpiece", "bytes", "characters"}));
    command->add_option("--vocab-size", train.vocab_size, "Entries at most")->check(CLI::Range(16, 10'000'000));
    command->add_flag("--cased", train.cased, "Keep capitals");
    command->add_flag("--keep-accents", train.keep_accents, "Keep accents");
    command->add_flag("--join-chinese", train.join_chinese, "Do not make every Chinese character a word of its own");
    command
        ->add_option("--character-coverage", train.character_coverage,
                     "Share of the text's characters that the alphabet must cover")
        ->check(CLI::Range(1e-9, 1.0));
    command->add_option("--encoding", train.encoding, "utf8 or gb18030")->check(CLI::IsMember({"utf8", "gb18030"}));
    command->add_option("--invalid-utf8", train.invalid_utf8, "error, replace or skip_line")
        ->check(CLI::IsMember({"error", "replace", "skip_line"}));
    command->add_option("--field", train.field, "Of .jsonl: where the text stands");
    add_threads(*command, train.threads);
    command->final_callback([&] { request.run = [&] { return run_tokenizer_train(train); }; });
}

void add_tokenizer_use(CLI::App& tokenizer, Request& request) {
    CLI::App* encode =
        add_command(tokenizer, "encode", "Text to tokens; without TEXT, line by line from standard input",
                    "  locus tokenizer encode runs/quickstart \"a new [MASK]\" --ids\n"
                    "  locus tokenizer encode my-tokenizer < text.txt\n"
                    "  locus tokenizer encode my-tokenizer --summary < text.txt");
    TokenizerEncodeCommand& encoding = request.tokenizer_encode;
    encode->add_option("tokenizer", encoding.tokenizer, "Tokenizer, run or model folder")
        ->type_name("FOLDER")
        ->required();
    CLI::Option* text = encode->add_option("text", encoding.text, "Text")->type_name("TEXT");
    CLI::Option* ids = encode->add_flag("--ids", encoding.ids, "Numbers instead of tokens");
    encode->add_flag("--summary", encoding.summary, "Instead of tokens: how many, the share of unknown ones, the time")
        ->excludes(ids);
    encode->final_callback([&, text] {
        encoding.has_text = text->count() > 0;
        request.run = [&] { return run_tokenizer_encode(encoding); };
    });
    CLI::App* decode = add_command(tokenizer, "decode", "Ids to text; without IDS, line by line from standard input",
                                   "  locus tokenizer decode runs/quickstart 2 17 25 3");
    TokenizerDecodeCommand& decoding = request.tokenizer_decode;
    decode->add_option("tokenizer", decoding.tokenizer, "Tokenizer, run or model folder")
        ->type_name("FOLDER")
        ->required();
    decode->add_option("ids", decoding.ids, "Token ids")->type_name("ID");
    decode->final_callback([&] { request.run = [&] { return run_tokenizer_decode(decoding); }; });
}

void add_tokenizer(CLI::App& app, Request& request) {
    CLI::App* command = add_command(app, "tokenizer", "Make and use vocabularies",
                                    "  locus tokenizer train corpus/*.txt --output my-tokenizer\n"
                                    "  locus tokenizer encode my-tokenizer \"some text\"");
    command->require_subcommand(1);
    add_tokenizer_train(*command, request);
    add_tokenizer_use(*command, request);
}

void add_info(CLI::App& app, Request& request) {
    CLI::App* command =
        add_command(app, "info", "Parameters, arithmetic, memory and limits of a configuration or a model",
                    "  locus info configs/bert-tiny.yaml\n"
                    "  locus info runs/quickstart");
    InfoCommand& info = request.info;
    command->add_option("subject", info.subject, "A YAML file, or a run, checkpoint or Hugging Face folder")
        ->type_name("CONFIG|MODEL");
    add_overrides(*command, info.overrides);
    command->final_callback([&] {
        return_positional(info.overrides, info.subject, "locus info CONFIG|MODEL");
        request.run = [&] { return run_info(info); };
    });
}

void add_bench(CLI::App& app, Request& request) {
    CLI::App* command = add_command(
        app, "bench",
        "Speed of training steps: tokens/s, share of the processor's peak, and where the time goes, phase by phase",
        "  locus bench configs/bert-tiny.yaml --steps 20\n"
        "  locus bench configs/bert-tiny.yaml --set train.batch_size=8 --json\n"
        "  locus bench configs/bert-tiny.yaml --set model.position=rope --beside model.position=absolute");
    BenchCommand& bench = request.bench;
    command->add_option("config", bench.configuration, "Configuration, a YAML file")->type_name("CONFIG");
    command->add_option("--steps", bench.steps, "Steps to measure")->check(CLI::Range(1, 1'000'000));
    command->add_option("--warmup", bench.warmup, "Steps before them")->check(CLI::Range(0, 1'000'000));
    command->add_flag("--inference", bench.inference,
                      "Time evaluation, fill and forward on the same batches too: how many times as fast as training");
    command
        ->add_option("--beside", bench.beside,
                     "The ratio of speeds to the same configuration with this key replaced, steps in turns: other work "
                     "on the machine "
                     "slows both")
        ->type_name("KEY=VALUE");
    command->add_flag("--corpus", bench.corpus, "Batches of the configuration's text instead of random tokens");
    command->add_flag("--json", bench.json, "For scripts: one JSON object");
    add_overrides(*command, bench.overrides);
    command->final_callback([&] {
        return_positional(bench.overrides, bench.configuration, "locus bench CONFIG [--steps N]");
        request.run = [&] { return run_bench(bench); };
    });
}

void add_compare(CLI::App& app, Request& request) {
    CLI::App* command = add_command(
        app, "compare", "Train several models with several seeds on the same data, and put the figures into tables",
        "  locus compare configs/compare/quick.yaml\n"
        "  locus compare configs/compare/quick.yaml --budget 50m --dry-run\n"
        "The same command goes on with a comparison that was stopped.");
    CompareCommand& compare = request.compare;
    command->add_option("config", compare.configuration, "Comparison, a YAML file")->type_name("CONFIG");
    command
        ->add_option("--budget", compare.budget, "Choose the steps so that all of it takes this long: 50m, 90s, 1h30m")
        ->type_name("TIME");
    command->add_option("--only", compare.only, "Work on these blocks alone; the tables keep the others")
        ->delimiter(',')
        ->type_name("BLOCK,BLOCK");
    command->add_flag("--dry-run", compare.dry_run,
                      "Print the plan, train nothing (with --budget the speed is measured)");
    add_overrides(*command, compare.overrides);
    command->final_callback([&] {
        return_positional(compare.overrides, compare.configuration, "locus compare CONFIG [--budget 50m]");
        request.run = [&] { return run_compare(compare); };
    });
}

void add_commands(CLI::App& app, Request& request) {
    app.set_version_flag("--version", fmt::format("locus {}", version));
    app.require_subcommand(1);
    app.footer(
        "Examples:\n"
        "  locus train configs/quickstart.yaml\n"
        "  locus fill runs/quickstart \"the dog [MASK] in the garden .\"\n"
        "`locus COMMAND --help` tells more. Exit codes: 0 done, 2 wrong command line or configuration, 3 unusable data "
        "or model files,\n"
        "4 stopped on non-finite numbers, 5 out of memory, 6 disk, 130 and 143 after SIGINT and SIGTERM, 1 anything "
        "else.");
    add_train(app, request);
    add_evaluate(app, request);
    add_fill(app, request);
    add_explain(app, request);
    add_forward(app, request);
    add_tokenizer(app, request);
    add_info(app, request);
    add_bench(app, request);
    add_compare(app, request);
}

/// The parser would call a misspelt command an unexpected argument.
void check_command_name(const CLI::App& app, int count, char** arguments) {
    if (count < 2 || arguments[1][0] == '-') return;
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (command->get_name() == arguments[1]) return;
        names.push_back(command->get_name());
    }
    const std::string nearest = nearest_name(arguments[1], names);
    throw ConfigurationError(fmt::format(
        "there is no command \"{}\"; {}", arguments[1],
        nearest.empty() ? fmt::format("known: {}", fmt::join(names, ", ")) : fmt::format("did you mean {}?", nearest)));
}

/// The innermost command that the arguments chose, as the user would type it: "locus tokenizer train".
std::string chosen_command(const CLI::App& app) {
    std::string name = "locus";
    const CLI::App* current = &app;
    while (!current->get_subcommands().empty()) {
        current = current->get_subcommands().front();
        name += " " + current->get_name();
    }
    return name;
}

/// LOCUS_ISA is part of what the user asks for.
void check_instruction_set() {
    try {
        isa();
    } catch (const std::invalid_argument& error) {
        throw ConfigurationError(error.what());
    }
}

}  // namespace

int run_command_line(int count, char** arguments) {
    CLI::App app("Locus pre-trains small masked language models from scratch, with the position encoding as a switch.",
                 "locus");
    Request request;
    add_commands(app, request);
    check_command_name(app, count, arguments);
    try {
        app.parse(count, arguments);
    } catch (const CLI::Success& help) {
        return app.exit(help);  // prints the help or the version
    } catch (const CLI::ParseError& error) {
        throw ConfigurationError(fmt::format("{} (`{} --help` tells more)", error.what(), chosen_command(app)));
    }
    check_instruction_set();
    return request.run();
}

}  // namespace locus
