#include "data/output_file.h"

namespace locus {

void OutputFile::write(std::string_view bytes) {
    constexpr std::size_t enough = std::size_t{1} << 20U;
    buffer_.append(bytes);
    bytes_ += static_cast<std::int64_t>(bytes.size());
    if (buffer_.size() >= enough) flush();
}

void OutputFile::flush() {
    fingerprint_.add(buffer_);
    file_.write(buffer_);
    buffer_.clear();
}

WrittenFile OutputFile::finish() {
    flush();
    file_.sync();
    return {file_.path().filename().string(), bytes_, fingerprint_.value()};
}

}  // namespace locus
