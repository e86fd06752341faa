#pragma once
// A file cut into lines: LF, CRLF and a lone CR end one. All three mean the same in UTF-8 and in GB18030, so that lines come before decoding.

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/text_file.h"
#include "data/text_format.h"

namespace locus {

/// A line, or a piece of one that is longer than the limit.
struct Line {
    std::string_view bytes;   // without the line end, until the next call
    std::int64_t number = 0;  // from 1
    std::int64_t column = 0;  // of the first byte, from 0: above it in pieces after the first
    std::int64_t offset = 0;  // of the first byte in the unpacked file, from 0
    bool complete = true;     // false: the line goes on in the next piece
};

class LineReader {
public:
    /// Pieces have at most `longest` bytes (and at least half of that when the line goes on); 0: lines stay whole, however long.
    LineReader(const std::filesystem::path& path, std::size_t longest, TextEncoding encoding);

    /// The first bytes of the file, before any next(): at least 4096 where the file has them.
    std::string_view head();
    /// Passes over the first bytes of the file.
    void skip(std::size_t bytes);
    /// False at the end of the file. Throws as TextFile::read().
    bool next(Line& line);

    const TextFile& file() const { return file_; }

private:
    /// Where the next line end of one kind stands; searched bytes are not searched again.
    struct LineEnd {
        char byte;
        std::size_t at = 0;
        bool found = false;
        void search(const char* data, std::size_t begin, std::size_t end);
    };

    bool fill();
    void take(std::size_t bytes, bool complete, Line& line);

    TextFile file_;
    std::size_t longest_;
    TextEncoding encoding_;
    std::vector<char> buffer_;
    std::size_t begin_ = 0, end_ = 0;
    LineEnd lf_{'\n'}, cr_{'\r'};
    bool after_cr_ = false, at_end_ = false;
    std::int64_t number_ = 1, column_ = 0, offset_ = 0;
};

}  // namespace locus
