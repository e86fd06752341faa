// Rooms include downwards only: train -> data, model; model -> kernels; data -> kernels/random.h.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

#include "tests/train/temporary_folder.h"

#include "tests/train/temporary_folder.h"

namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::set<std::string>> allowed = {
    {"kernels", {"kernels"}},
    {"data", {"data"}},
    {"model", {"model", "kernels"}},
    {"train", {"train", "data", "model", "kernels"}},
};

// Lines "file: include" that point up or across.
std::set<std::string> wrong_includes(const std::string& room, const fs::path& file) {
    static const std::regex include(R"re(^\s*#include "((kernels|data|model|train)/[^"]+)")re");
    std::set<std::string> wrong;
    std::ifstream source(file);
    for (std::string line; std::getline(source, line);) {
        std::smatch match;
        if (!std::regex_search(line, match, include)) continue;
        const bool excepted = room == "data" && match[1] == "kernels/random.h";
        if (allowed.at(room).count(match[2]) == 0 && !excepted) wrong.insert(file.string() + ": " + match[1].str());
    }
    return wrong;
}

TEST(Includes, PointDownOnly) {
    int files = 0;
    for (const auto& [room, rooms] : allowed) {
        for (const auto& entry : fs::recursive_directory_iterator(fs::path(LOCUS_SOURCE_DIR) / room)) {
            const std::string extension = entry.path().extension();
            if (extension != ".h" && extension != ".cpp" && extension != ".cu") continue;
            ++files;
            EXPECT_EQ(wrong_includes(room, entry.path()), std::set<std::string>());
        }
    }
    EXPECT_GT(files, 50);
}

TEST(Includes, AWrongOneIsSeen) {
    const locus::TemporaryFolder folder;
    const fs::path file = folder / "header.h";
    locus::write_text(file,
                      "#include \"train/trainer.h\"\n#include \"kernels/random.h\"\n#include \"kernels/tensor.h\"\n");
    EXPECT_EQ(wrong_includes("kernels", file).size(), 1U);
    EXPECT_EQ(wrong_includes("data", file).size(), 2U);
    EXPECT_EQ(wrong_includes("train", file).size(), 0U);
}

}  // namespace
