#pragma once
// GB18030, the Chinese national encoding (GBK and GB 2312 are parts of it), turned into UTF-8.

#include <cstddef>
#include <string>
#include <string_view>

namespace locus {

class Gb18030Decoder {
public:
    /// Throws std::system_error when the C library has no such conversion.
    Gb18030Decoder();
    ~Gb18030Decoder();
    Gb18030Decoder(const Gb18030Decoder&) = delete;
    Gb18030Decoder& operator=(const Gb18030Decoder&) = delete;

    /// Appends the UTF-8 of `text` up to the first byte that is not part of valid GB18030; returns that byte's place, or text.size().
    std::size_t append(std::string_view text, std::string& out);

private:
    void* conversion_;
};

}  // namespace locus
