#include "data/synthetic.h"

#include <fmt/format.h>

#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "data/atomic_folder.h"
#include "data/error.h"
#include "data/fingerprint.h"
#include "data/output_file.h"
#include "data/synthetic_choices.h"
#include "data/throttled_progress.h"

namespace locus {
namespace {

constexpr int grammar_version = 1;  // raise it when the same seed gives other text
constexpr std::uint32_t first_validation_document = 0x80000000U;
constexpr std::int64_t megabyte = 1'000'000;
constexpr const char* index_name = "index.json";

/// Whole documents, numbered from `first`, until there are `bytes` of text.
WrittenFile write_documents(const std::filesystem::path& path, const SyntheticSettings& settings, std::uint32_t first,
                            std::int64_t bytes, ThrottledProgress& report) {
    constexpr std::uint32_t round = 512;  // documents made at once, about a megabyte
    OutputFile out(path);
    std::vector<std::string> documents(round);
    std::vector<std::exception_ptr> errors(round);
    for (std::uint32_t done = 0; out.bytes() < bytes; done += round) {
#pragma omp parallel for schedule(dynamic, 16)
        for (std::uint32_t i = 0; i < round; ++i) {
            try {
                documents[i] = synthetic_document(settings.language, settings.seed, first + done + i);
            } catch (...) {
                errors[i] = std::current_exception();
            }
        }
        for (std::uint32_t i = 0; i < round && out.bytes() < bytes; ++i) {
            if (errors[i]) std::rethrow_exception(errors[i]);
            if (out.bytes() > 0) out.write("\n");
            out.write(documents[i] + "\n");
        }
        report("writing synthetic text", std::min(out.bytes(), bytes), bytes);
    }
    return out.finish();
}

nlohmann::json describe(const WrittenFile& file) {
    return {{"name", file.name}, {"bytes", file.bytes}, {"xxh64", hexadecimal(file.fingerprint)}};
}

/// True when all that was once written is still there.
bool is_whole(const std::filesystem::path& folder) {
    std::ifstream in(folder / index_name);
    if (!in) return false;
    try {
        const nlohmann::json index = nlohmann::json::parse(in);
        for (const nlohmann::json& file : index) {
            const std::filesystem::path path = folder / file.at("name").get<std::string>();
            if (!std::filesystem::is_regular_file(path)) return false;
            if (hexadecimal(fingerprint_of_file(path)) != file.at("xxh64")) return false;
        }
        return index.size() == 2;
    } catch (const nlohmann::json::exception&) {
        return false;
    }
}

}  // namespace

std::string synthetic_document(const std::string& language, std::uint32_t seed, std::uint32_t index) {
    if (language == "english") return english_document(seed, index);
    if (language == "chinese") return chinese_document(seed, index);
    throw DataError(fmt::format("data.synthetic.language: {} is not known; choose english or chinese", language));
}

SyntheticFiles write_synthetic_corpus(const SyntheticSettings& settings, const std::filesystem::path& folder,
                                      const ProgressReport& progress) {
    if (settings.megabytes < 1) {
        throw DataError(fmt::format("data.synthetic.megabytes: {} is below 1", settings.megabytes));
    }
    synthetic_document(settings.language, settings.seed,
                       0);  // an unknown language is refused before anything is written
    const std::filesystem::path place = folder / fmt::format("synthetic-{}-{}mb-seed{}-version{}", settings.language,
                                                             settings.megabytes, settings.seed, grammar_version);
    const SyntheticFiles files = {place / "train.txt", place / "valid.txt"};
    if (is_whole(place)) return files;

    std::error_code ignored;
    std::filesystem::remove(place / index_name, ignored);  // damaged: made again in its place
    AtomicFolder made(place, index_name);
    ThrottledProgress report(progress);
    const std::int64_t bytes = settings.megabytes * megabyte;
    nlohmann::json index = nlohmann::json::array();
    index.push_back(describe(write_documents(made.folder() / "train.txt", settings, 0, bytes, report)));
    index.push_back(describe(
        write_documents(made.folder() / "valid.txt", settings, first_validation_document, bytes / 20, report)));
    OutputFile out(made.folder() / index_name);
    out.write(index.dump(2) + "\n");
    out.finish();
    made.publish();
    return files;
}

}  // namespace locus
