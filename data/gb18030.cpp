#include "data/gb18030.h"

#include <iconv.h>

#include <cerrno>
#include <system_error>

namespace locus {

Gb18030Decoder::Gb18030Decoder() : conversion_(iconv_open("UTF-8", "GB18030")) {
    if (conversion_ == reinterpret_cast<void*>(-1)) {  // NOLINT(performance-no-int-to-ptr): POSIX has it so
        throw std::system_error(errno, std::generic_category(),
                                "the C library does not convert GB18030 to UTF-8 (its gconv modules are missing)");
    }
}

Gb18030Decoder::~Gb18030Decoder() { iconv_close(conversion_); }

std::size_t Gb18030Decoder::append(std::string_view text, std::string& out) {
    iconv(conversion_, nullptr, nullptr, nullptr, nullptr);  // back to the initial state
    char* from = const_cast<char*>(text.data());             // iconv does not write there
    std::size_t left = text.size();
    while (left > 0) {
        const std::size_t before = out.size();
        out.resize(before + 2 * left + 16);  // two bytes become three at most, one becomes one, four become four
        char* to = out.data() + before;
        std::size_t room = out.size() - before;
        const std::size_t result = iconv(conversion_, &from, &left, &to, &room);
        out.resize(out.size() - room);
        if (result == static_cast<std::size_t>(-1) && errno != E2BIG) break;  // invalid, or cut off at the end
    }
    return text.size() - left;
}

}  // namespace locus
