#pragma once
// What the tokenizer tests share: folders that vanish, files, ids of texts, fixtures.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "data/error.h"
#include "data/tokenizer.h"
#include "data/tokenizer_files.h"

namespace locus {

/// A new folder under the system's temporary folder, removed at the end of the scope.
class ScratchFolder {
public:
    ScratchFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "locus-tokenizer-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
        path_ = name;
    }
    ~ScratchFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }

    void write(const std::string& name, std::string_view text) const {
        std::ofstream(path_ / name, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
    }
    std::string read(const std::string& name) const {
        std::ifstream file(path_ / name, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }

private:
    std::filesystem::path path_;
};

inline std::vector<std::int32_t> encoded(const Tokenizer& tokenizer, std::string_view text) {
    std::vector<std::int32_t> ids;
    tokenizer.encode(text, ids);
    return ids;
}

inline std::vector<std::int32_t> encoded_with_specials(const Tokenizer& tokenizer, std::string_view text) {
    std::vector<std::int32_t> ids;
    tokenizer.encode_with_specials(text, ids);
    return ids;
}

/// The tokens of a text, one space between them.
inline std::string pieces_of(const Tokenizer& tokenizer, std::string_view text) {
    std::string pieces;
    for (const std::int32_t id : encoded(tokenizer, text)) pieces += (pieces.empty() ? "" : " ") + tokenizer.token(id);
    return pieces;
}

inline TokenizerDescription describe(const std::vector<std::string>& ordinary, Normalisation rules = {}) {
    TokenizerDescription description;
    description.tokens = special_token_names();
    description.tokens.insert(description.tokens.end(), ordinary.begin(), ordinary.end());
    description.rules = rules;
    return description;
}

inline nlohmann::json fixture(const std::string& name) {
    std::ifstream file(std::filesystem::path(LOCUS_SOURCE_DIR) / "tests" / "fixtures" / "tokenizer" / name);
    return nlohmann::json::parse(file);
}

/// The message of the DataError that `work` throws; a failure when it throws none.
template <typename Work>
std::string data_error(const Work& work) {
    try {
        work();
    } catch (const DataError& error) {
        return error.what();
    }
    ADD_FAILURE() << "no DataError";
    return "";
}

}  // namespace locus
