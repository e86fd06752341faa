#pragma once
// Files for tests: a folder of their own, contents in one call, small disks.

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

namespace locus {

/// A fresh folder, removed at the end.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "locus-test-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
        path_ = name;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path write(const std::string& name, std::string_view contents) const {
        std::filesystem::create_directories((path_ / name).parent_path());
        std::ofstream out(path_ / name, std::ios::binary);
        out << contents;
        out.close();
        EXPECT_TRUE(out) << name;
        return path_ / name;
    }

private:
    std::filesystem::path path_;
};

inline std::string contents(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    EXPECT_TRUE(in) << path;
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// A zstd frame with a checksum.
inline std::string zstd_frame(std::string_view text, int window_log = 0) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    if (window_log > 0) ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    std::string out(ZSTD_compressBound(text.size()), '\0');
    ZSTD_inBuffer from{text.data(), text.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    // Unless the size is known from the start, the window stays as large as was asked for.
    if (window_log > 0) ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue);
    const std::size_t left = ZSTD_compressStream2(context, &to, &from, ZSTD_e_end);
    EXPECT_EQ(left, 0U);
    ZSTD_freeCCtx(context);
    out.resize(to.pos);
    return out;
}

/// The message of the exception of type E that `action` throws; a failure and "" when it throws none.
template <typename E>
std::string message_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const E& error) {
        return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return "";
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// Number of things in a folder whose names contain `part`.
inline int count_named(const std::filesystem::path& folder, std::string_view part) {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        count += contains(entry.path().filename().string(), part) ? 1 : 0;
    }
    return count;
}

/// While it lives, files cannot grow past `bytes` under folder(): on a small tmpfs of our own where we may mount one, else (not root, or in a
/// container that forbids it) by a limit on file sizes. Either way write() fails as on a full disk: ENOSPC or EFBIG.
class SmallDisk {
public:
    explicit SmallDisk(std::size_t bytes) {
        const std::string size = "size=" + std::to_string(bytes);
        mounted_ = ::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, size.c_str()) == 0;
        if (mounted_) return;
        ::getrlimit(RLIMIT_FSIZE, &before_);
        previous_handler_ = std::signal(SIGXFSZ, SIG_IGN);
        rlimit limit = before_;
        limit.rlim_cur = bytes;
        EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    }
    ~SmallDisk() {
        if (mounted_) {
            ::umount2(folder_.path().c_str(), MNT_DETACH);
        } else {
            ::setrlimit(RLIMIT_FSIZE, &before_);
            std::signal(SIGXFSZ, previous_handler_);
        }
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;

    const std::filesystem::path& folder() const { return folder_.path(); }

private:
    TemporaryFolder folder_;
    bool mounted_ = false;
    rlimit before_{};
    void (*previous_handler_)(int) = SIG_DFL;
};

}  // namespace locus
