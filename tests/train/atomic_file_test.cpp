#include "train/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <system_error>

#include "tests/train/temporary_folder.h"

namespace locus {
namespace {

namespace fs = std::filesystem;

std::size_t entries(const fs::path& folder) {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(AtomicFile, ReplacesAFileAndLeavesNothingBeside) {
    const TemporaryFolder folder;
    write_file_atomically(folder / "x", "old");
    write_file_atomically(folder / "x", "new");
    EXPECT_EQ(read_text(folder / "x"), "new");
    EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(AtomicFile, AFailedWriteKeepsTheOldFile) {
    const TemporaryFolder folder;
    std::signal(SIGXFSZ, SIG_IGN);
    write_file_atomically(folder / "x", "old");
    rlimit old = {};
    getrlimit(RLIMIT_FSIZE, &old);
    rlimit small = old;
    small.rlim_cur = 100;
    setrlimit(RLIMIT_FSIZE, &small);
    int code = 0;
    try {
        write_file_atomically(folder / "x", std::string(1000, 'n'));
    } catch (const std::system_error& error) {
        code = error.code().value();
    }
    setrlimit(RLIMIT_FSIZE, &old);
    EXPECT_EQ(code, EFBIG);
    EXPECT_EQ(read_text(folder / "x"), "old");
    EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(AtomicFile, ReplacesAFolderThatHasFiles) {
    const TemporaryFolder folder;
    for (const char* name : {"new", "place"}) {
        fs::create_directory(folder / name);
        write_text(folder / name / "file", name);
    }
    replace_folder(folder / "new", folder / "place");
    EXPECT_EQ(read_text(folder / "place" / "file"), "new");
    EXPECT_EQ(entries(folder.path()), 1U);
    fs::create_directory(folder / "other");
    replace_folder(folder / "other", folder / "free");
    EXPECT_TRUE(fs::is_directory(folder / "free"));
}

TEST(AtomicFile, LinksAreReplacedAndStayRelative) {
    const TemporaryFolder folder;
    replace_link("a/b", folder / "link");
    replace_link("c", folder / "link");
    EXPECT_EQ(fs::read_symlink(folder / "link"), "c");
    EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(AtomicFile, ErrorsNameThePath) {
    try {
        write_file("/no/such/folder/file", "x");
        FAIL();
    } catch (const std::system_error& error) {
        EXPECT_NE(std::string(error.what()).find("/no/such/folder/file"), std::string::npos);
        EXPECT_EQ(error.code().value(), ENOENT);
    }
}

}  // namespace
}  // namespace locus
