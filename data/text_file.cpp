#include "data/text_file.h"

#include <fmt/format.h>
#include <zstd.h>

#include <new>
#include <vector>

#include "data/error.h"
#include "data/file_descriptor.h"
#include "data/text_format.h"

namespace locus {
namespace {

constexpr int largest_window_log = 27;  // 128 MiB, what zstd --long gives without a number

struct FreeContext {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

struct TextFile::Implementation {
    explicit Implementation(const std::filesystem::path& path) : file(open_to_read(path)), size(file.status().st_size) {
        if (path.extension() != ".zst") return;
        context.reset(ZSTD_createDCtx());
        if (context == nullptr) throw std::bad_alloc();
        ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, largest_window_log);
        packed.resize(ZSTD_DStreamInSize());
    }

    std::size_t read_stored(char* to, std::size_t capacity) {
        const std::size_t bytes = file.read(to, capacity);
        position += static_cast<std::int64_t>(bytes);
        return bytes;
    }

    std::size_t read_unpacked(char* to, std::size_t capacity) {
        ZSTD_outBuffer out{to, capacity, 0};
        while (out.pos == 0) {
            bool ended = false;
            if (in.pos == in.size) {
                in = {packed.data(), read_stored(packed.data(), packed.size()), 0};
                ended = in.size == 0;
            }
            if (ended && !inside_frame) return 0;
            if (position == static_cast<std::int64_t>(in.size)) check_head();
            const std::size_t result = ZSTD_decompressStream(context.get(), &out, &in);
            if (ZSTD_isError(result) != 0U) throw DataError(describe(ZSTD_getErrorName(result)));
            inside_frame = result != 0;
            if (ended && inside_frame && out.pos == 0) throw DataError(cut_off());
        }
        return out.pos;
    }

    void check_head() const {
        const std::string_view head(packed.data(), in.size);
        const std::string_view frame("\x28\xB5\x2F\xFD", 4);
        const bool skippable = head.size() >= 4 && (head[0] & 0xF0) == 0x50 && head.substr(1, 3) == "\x2A\x4D\x18";
        if (head.size() < 4 || head.substr(0, 4) == frame || skippable) return;
        const std::string_view name = name_of_binary_format(head);
        throw DataError(
            fmt::format("{}: is not a zstd file although its name ends in .zst{}; rename it, or pack it with zstd",
                        file.path().string(), name.empty() ? std::string() : fmt::format(" (it looks like {})", name)));
    }

    std::string describe(const char* reason) const {
        return fmt::format(
            "{}: cannot be unpacked near byte {} of {}: {}. The file is damaged, or packed with a window above "
            "2^{} (unpack it with zstd -d --long=31)",
            file.path().string(), position, size, reason, largest_window_log);
    }

    std::string cut_off() const {
        return fmt::format("{}: is cut off: it ends at byte {}, within a zstd frame; copy or download it again",
                           file.path().string(), position);
    }

    FileDescriptor file;
    std::int64_t size, position = 0;
    std::unique_ptr<ZSTD_DCtx, FreeContext> context;
    std::vector<char> packed;
    ZSTD_inBuffer in{nullptr, 0, 0};
    bool inside_frame = true;  // a file of no bytes has no whole frame either
};

TextFile::TextFile(const std::filesystem::path& path) : implementation_(std::make_unique<Implementation>(path)) {}
TextFile::~TextFile() = default;

std::size_t TextFile::read(char* to, std::size_t capacity) {
    return compressed() ? implementation_->read_unpacked(to, capacity) : implementation_->read_stored(to, capacity);
}

const std::filesystem::path& TextFile::path() const { return implementation_->file.path(); }
bool TextFile::compressed() const { return implementation_->context != nullptr; }
std::int64_t TextFile::position() const { return implementation_->position; }
std::int64_t TextFile::size() const { return implementation_->size; }

}  // namespace locus
