#include "data/line_reader.h"

#include <algorithm>
#include <cstring>

namespace locus {
namespace {

constexpr std::size_t chunk = std::size_t{1} << 18U;  // what one read asks for

}  // namespace

LineReader::LineReader(const std::filesystem::path& path, std::size_t longest, TextEncoding encoding)
    : file_(path), longest_(longest), encoding_(encoding), buffer_(chunk) {}

void LineReader::LineEnd::search(const char* data, std::size_t begin, std::size_t end) {
    if (found && at >= begin) return;
    const std::size_t from = std::max(at, begin);
    const void* hit = from < end ? std::memchr(data + from, byte, end - from) : nullptr;
    found = hit != nullptr;
    at = found ? static_cast<std::size_t>(static_cast<const char*>(hit) - data) : end;
}

/// Reads more behind what the buffer holds; false at the end of the file.
bool LineReader::fill() {
    if (at_end_) return false;
    if (begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        for (LineEnd* ends : {&lf_, &cr_}) {
            ends->found = ends->found && ends->at >= begin_;
            ends->at = std::max(ends->at, begin_) - begin_;
        }
        end_ -= begin_;
        begin_ = 0;
    }
    if (buffer_.size() - end_ < chunk) buffer_.resize(std::max(2 * buffer_.size(), end_ + chunk));
    const std::size_t bytes = file_.read(buffer_.data() + end_, buffer_.size() - end_);
    at_end_ = bytes == 0;
    end_ += bytes;
    return !at_end_;
}

std::string_view LineReader::head() {
    while (end_ - begin_ < 4096 && fill()) {
    }
    return {buffer_.data() + begin_, end_ - begin_};
}

void LineReader::skip(std::size_t bytes) {
    begin_ += bytes;
    offset_ += static_cast<std::int64_t>(bytes);
}

void LineReader::take(std::size_t bytes, bool complete, Line& line) {
    line = {{buffer_.data() + begin_, bytes}, number_, column_, offset_, complete};
    skip(bytes);
    column_ += static_cast<std::int64_t>(bytes);
    if (complete) {
        ++number_;
        column_ = 0;
    }
}

bool LineReader::next(Line& line) {
    while (true) {
        if (after_cr_ && begin_ < end_) {  // the LF of a CRLF
            if (buffer_[begin_] == '\n') skip(1);
            after_cr_ = false;
        }
        lf_.search(buffer_.data(), begin_, end_);
        cr_.search(buffer_.data(), begin_, end_);
        const std::size_t stop = std::min(lf_.at, cr_.at);
        const bool found = lf_.found || cr_.found;
        if (longest_ > 0 && stop - begin_ > longest_) {
            const std::string_view rest(buffer_.data() + begin_, stop - begin_);
            take(place_to_cut(rest, longest_, encoding_), false, line);
            return true;
        }
        if (found) {
            take(stop - begin_, true, line);
            after_cr_ = buffer_[stop] == '\r';
            skip(1);
            return true;
        }
        if (fill()) continue;
        if (begin_ == end_ && column_ == 0) return false;
        take(end_ - begin_, true, line);  // the last line has no line end
        return true;
    }
}

}  // namespace locus
