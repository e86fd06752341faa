// The pages of docs/learn against the code: excerpts, printed numbers, and the names of files and functions.
//
//   ```cpp PATH        every such block occurs in that file, letter by letter
//   ```text PROGRAM    every line of the block is printed by that program, in this order
//   `room/file.cpp`    the file exists        `name()`, `Class::name()`    some source has that name

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
const fs::path root = LOCUS_SOURCE_DIR;

std::string contents(const fs::path& file) {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<fs::path> pages() {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(root / "docs/learn"))
        if (entry.path().extension() == ".md") found.push_back(entry.path());
    return found;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
        const std::size_t end = line.find_last_not_of(" \r");
        lines.push_back(end == std::string::npos ? "" : line.substr(0, end + 1));
    }
    return lines;
}

struct Block {
    std::string language, source, text;
};

/// The fenced blocks of a page, and its prose without them.
std::vector<Block> blocks_of(const std::string& page, std::string* prose = nullptr) {
    std::vector<Block> blocks;
    bool inside = false;
    for (const std::string& line : lines_of(page)) {
        if (line.rfind("```", 0) == 0) {
            inside = !inside;
            if (!inside) continue;
            std::istringstream words(line.substr(3));
            Block block;
            words >> block.language >> block.source;
            blocks.push_back(block);
        } else if (inside) {
            blocks.back().text += line + "\n";
        } else if (prose != nullptr) {
            *prose += line + "\n";
        }
    }
    return blocks;
}

/// The first line of `expected` that does not follow in `printed`; empty when all do.
std::string first_missing(const std::string& expected, const std::string& printed) {
    const std::vector<std::string> lines = lines_of(printed);
    auto from = lines.begin();
    for (const std::string& line : lines_of(expected)) {
        if (line.empty()) continue;
        from = std::find(from, lines.end(), line);
        if (from == lines.end()) return line;
        ++from;
    }
    return "";
}

/// What a program of docs/learn prints; empty when it fails. Each runs once.
const std::string& output_of(const std::string& program) {
    static std::map<std::string, std::string> outputs;
    const auto [entry, is_new] = outputs.emplace(program, "");
    if (!is_new) return entry->second;
    std::FILE* const pipe = popen(("OMP_NUM_THREADS=1 " LOCUS_LEARN_PROGRAMS "/" + program).c_str(), "r");
    if (pipe == nullptr) return entry->second;
    std::string output;
    std::array<char, 4096> buffer{};
    while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
        output.append(buffer.data(), count);
    if (pclose(pipe) == 0) entry->second = output;
    return entry->second;
}

std::vector<std::string> matches(const std::string& text, const char* pattern) {
    const std::regex regex(pattern);
    std::vector<std::string> found;
    for (std::sregex_iterator match(text.begin(), text.end(), regex), end; match != end; ++match)
        found.push_back((*match)[1]);
    return found;
}

std::string all_sources() {
    std::string text;
    for (const char* folder : {"kernels", "data", "model", "train", "tests", "docs/learn"}) {
        for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
            const std::string extension = entry.path().extension();
            if (extension == ".h" || extension == ".cpp" || extension == ".cu") text += contents(entry.path());
        }
    }
    return text;
}

bool has_function(const std::string& sources, const std::string& name) {
    const auto in_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    for (std::size_t at = sources.find(name + "("); at != std::string::npos; at = sources.find(name + "(", at + 1))
        if (at == 0 || !in_word(sources[at - 1])) return true;
    return false;
}

TEST(Pages, ShowCodeAsItStandsInTheFileThatTheyName) {
    std::size_t checked = 0;
    for (const fs::path& page : pages()) {
        for (const Block& block : blocks_of(contents(page))) {
            if (block.language != "cpp") continue;
            ++checked;
            ASSERT_NE(block.source, "") << page << ": an excerpt must name its file:\n" << block.text;
            EXPECT_NE(contents(root / block.source).find(block.text), std::string::npos)
                << page << ": " << block.source << " does not contain\n"
                << block.text;
        }
    }
    EXPECT_GE(checked, 4U);
}

TEST(Pages, QuoteNumbersThatTheirProgramsPrint) {
    std::size_t checked = 0;
    for (const fs::path& page : pages()) {
        for (const Block& block : blocks_of(contents(page))) {
            if (block.language != "text") continue;
            ++checked;
            EXPECT_EQ(first_missing(block.text, output_of(block.source)), "") << page << ": " << block.source;
        }
    }
    EXPECT_GE(checked, 5U);
}

TEST(Pages, NameFilesAndFunctionsThatExist) {
    const std::string sources = all_sources();
    std::size_t checked = 0;
    for (const fs::path& page : pages()) {
        std::string prose;
        blocks_of(contents(page), &prose);
        for (const std::string& path :
             matches(prose, "`((?:kernels|data|model|train|tests|docs|configs)/[^`*<> ]+)`")) {
            ++checked;
            EXPECT_TRUE(fs::exists(root / path)) << page << ": " << path;
        }
        for (const std::string& link : matches(prose, "\\]\\(([^):#]+)\\)")) {
            ++checked;
            EXPECT_TRUE(fs::exists(root / "docs/learn" / link)) << page << ": " << link;
        }
        for (const std::string& name : matches(prose, "`(?:[A-Za-z_]+::)?([a-z_0-9]+)\\(\\)`")) {
            ++checked;
            EXPECT_TRUE(has_function(sources, name)) << page << ": " << name << "()";
        }
    }
    EXPECT_GE(checked, 40U);
}

TEST(Pages, TheChecksSeeADifference) {
    const std::vector<Block> blocks =
        blocks_of("text\n```cpp a/b.h\nint x;\n```\nmore\n```text learn_tape\n1 2\n```\n");
    ASSERT_EQ(blocks.size(), 2U);
    EXPECT_EQ(blocks[0].source, "a/b.h");
    EXPECT_EQ(blocks[0].text, "int x;\n");
    EXPECT_EQ(first_missing("one\n\n three\n", "one\ntwo\n three  \n"), "");
    EXPECT_EQ(first_missing("one\nfour\n", "one\ntwo\n"), "four");
    EXPECT_EQ(first_missing("two\none\n", "one\ntwo\n"), "one");
    EXPECT_EQ(first_missing("one\n", ""), "one");
    EXPECT_TRUE(has_function("int a_b(); int b(int);", "b"));
    EXPECT_FALSE(has_function("int a_b(); int b;", "b"));
}

}  // namespace
