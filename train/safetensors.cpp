#include "train/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "data/output_file.h"
#include "kernels/device.h"
#include "train/error.h"

namespace locus {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::size_t length_bytes = 8;
constexpr std::size_t longest_header = 100'000'000;  // the reference implementation's limit
constexpr std::size_t data_alignment = 64;

struct StoredType {
    std::string_view name;
    std::size_t bytes;
};
constexpr std::array<StoredType, 15> stored_types = {{{"F64", 8},
                                                      {"F32", 4},
                                                      {"BF16", 2},
                                                      {"F16", 2},
                                                      {"I64", 8},
                                                      {"I32", 4},
                                                      {"I16", 2},
                                                      {"I8", 1},
                                                      {"U64", 8},
                                                      {"U32", 4},
                                                      {"U16", 2},
                                                      {"U8", 1},
                                                      {"BOOL", 1},
                                                      {"F8_E4M3", 1},
                                                      {"F8_E5M2", 1}}};

// ---- reading ------------------------------------------------------------------------------------------------------------------------

class Mapping {
public:
    explicit Mapping(const fs::path& path) {
        const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) throw FileError(fmt::format("{}: cannot open: {}", path.string(), std::strerror(errno)));
        struct stat status = {};
        const bool regular = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
        size = regular ? static_cast<std::size_t>(status.st_size) : 0;
        void* map = size > 0 ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : nullptr;
        close(file);
        if (!regular) throw FileError(path.string() + ": not a file");
        if (map == MAP_FAILED) throw FileError(path.string() + ": cannot be mapped into memory");
        data = static_cast<const char*>(map);
    }
    ~Mapping() {
        if (data != nullptr) munmap(const_cast<char*>(data), size);
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    const char* data = nullptr;
    std::size_t size = 0;
};

// What every message about a file begins with.
class Complaint {
public:
    explicit Complaint(const fs::path& path) : path_(path) {}
    [[noreturn]] void operator()(const std::string& what) const {
        throw FileError(fmt::format("{}: {}", path_.string(), what));
    }

private:
    const fs::path& path_;
};

std::string_view header_of(const Mapping& file, const Complaint& complain) {
    if (file.size < length_bytes)
        complain(fmt::format("{} bytes are too few for a safetensors file: truncated or of another kind", file.size));
    std::uint64_t length = 0;
    std::memcpy(&length, file.data, length_bytes);
    if (length > longest_header)
        complain(fmt::format("not a safetensors file: its header would be {} bytes long", length));
    if (length > file.size - length_bytes)
        complain(fmt::format("truncated: the header should be {} bytes long, {} are there", length,
                             file.size - length_bytes));
    return {file.data + length_bytes, static_cast<std::size_t>(length)};
}

// nlohmann keeps the last of equal keys, so they are looked for while it parses; and so is depth, which costs memory.
json parse_header(std::string_view text, const Complaint& complain) {
    std::array<std::set<std::string>, 3> keys;  // of the object that is open at each depth
    const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
        const bool opens = event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
        if (opens && depth > 2) complain("the header is nested too deeply");
        if (event == json::parse_event_t::object_start) keys[static_cast<std::size_t>(depth)].clear();
        if (event == json::parse_event_t::key) {
            const std::string key = parsed.get<std::string>();
            if (!keys[static_cast<std::size_t>(depth) - 1].insert(key).second)
                complain(fmt::format("the header has the name '{}' twice", key));
        }
        return true;
    };
    if (text.empty() || text.front() != '{') complain("the header does not begin with '{'");
    try {
        return json::parse(text.begin(), text.end(), watch);
    } catch (const json::exception& error) {
        complain(fmt::format("the header is not JSON: {}", error.what()));
    }
}

std::size_t type_size(const std::string& dtype) {
    for (const StoredType& type : stored_types)
        if (type.name == dtype) return type.bytes;
    return 0;
}

// The number of bytes that dtype and shape ask for; false on overflow.
bool expected_bytes(const StoredTensor& tensor, std::size_t& bytes) {
    bytes = type_size(tensor.dtype);
    for (const std::int64_t extent : tensor.shape)
        if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(extent), &bytes)) return false;
    return true;
}

std::uint64_t unsigned_number(const json& value, const std::string& name, const char* what, const Complaint& complain) {
    if (!value.is_number_unsigned() ||
        value.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
        complain(fmt::format("tensor '{}': {} must be whole numbers that are not negative", name, what));
    return value.get<std::uint64_t>();
}

StoredTensor read_entry(const std::string& name, const json& entry, const char* data, std::size_t data_bytes,
                        const Complaint& complain) {
    if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets") ||
        !entry["dtype"].is_string() || !entry["shape"].is_array() || !entry["data_offsets"].is_array() ||
        entry["data_offsets"].size() != 2)
        complain(fmt::format("tensor '{}': needs dtype (text), shape (list) and data_offsets (two numbers)", name));
    StoredTensor tensor;
    tensor.dtype = entry["dtype"].get<std::string>();
    if (type_size(tensor.dtype) == 0) complain(fmt::format("tensor '{}': unknown dtype '{}'", name, tensor.dtype));
    for (const json& extent : entry["shape"])
        tensor.shape.push_back(static_cast<std::int64_t>(unsigned_number(extent, name, "extents", complain)));
    const std::uint64_t begin = unsigned_number(entry["data_offsets"][0], name, "offsets", complain);
    const std::uint64_t end = unsigned_number(entry["data_offsets"][1], name, "offsets", complain);
    if (begin > end)
        complain(fmt::format("tensor '{}': begins at byte {} and ends before it, at {}", name, begin, end));
    if (end > data_bytes)
        complain(fmt::format("tensor '{}': ends at byte {} of the data, but there are {}: the file is truncated", name,
                             end, data_bytes));
    std::size_t expected = 0;
    if (!expected_bytes(tensor, expected) || expected != end - begin)
        complain(fmt::format("tensor '{}': {} bytes do not fit {} [{}]", name, end - begin, tensor.dtype,
                             fmt::join(tensor.shape, ", ")));
    tensor.data = data + begin;
    tensor.bytes = static_cast<std::size_t>(end - begin);
    return tensor;
}

// The data must be covered without overlap and without holes, as the format demands.
void check_cover(const std::map<std::string, StoredTensor>& tensors, const char* data, std::size_t data_bytes,
                 const Complaint& complain) {
    std::vector<std::pair<std::size_t, const std::pair<const std::string, StoredTensor>*>> order;
    for (const auto& entry : tensors) order.emplace_back(static_cast<std::size_t>(entry.second.data - data), &entry);
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
        return std::pair(a.first, a.second->second.bytes) < std::pair(b.first, b.second->second.bytes);
    });
    std::size_t covered = 0;
    for (const auto& [begin, entry] : order) {
        if (begin < covered) complain(fmt::format("tensor '{}': overlaps the tensor before it", entry->first));
        if (begin > covered)
            complain(fmt::format("bytes {} to {} of the data belong to no tensor (before '{}')", covered, begin,
                                 entry->first));
        covered = begin + entry->second.bytes;
    }
    if (covered != data_bytes)
        complain(fmt::format("{} bytes after the last tensor belong to none", data_bytes - covered));
}

// ---- converting ---------------------------------------------------------------------------------------------------------------------

template <class T>
T load(const char* data, std::int64_t index) {  // tensors of other writers need not be aligned
    T value;
    std::memcpy(&value, data + static_cast<std::size_t>(index) * sizeof(T), sizeof(T));
    return value;
}

float from_bfloat16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16U); }

float from_float16(std::uint16_t bits) {
    const std::uint32_t sign = std::uint32_t{bits & 0x8000U} << 16U;
    const std::uint32_t exponent = (bits >> 10U) & 0x1FU;
    const std::uint32_t mantissa = bits & 0x3FFU;
    if (exponent == 0) {  // zero and the subnormals: mantissa * 2^-24
        const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
        return sign != 0 ? -magnitude : magnitude;
    }
    const std::uint32_t wide = exponent == 31 ? 255U : exponent + 112U;
    return std::bit_cast<float>(sign | (wide << 23U) | (mantissa << 13U));
}

template <class To, class Element>
void convert(To* to, std::int64_t count, Element element) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<To>(element(i));
}

template <class To>
bool convert_floating(const StoredTensor& from, To* to, std::int64_t count) {
    const char* data = from.data;
    if (from.dtype == "F64") {
        convert(to, count, [data](std::int64_t i) { return load<double>(data, i); });
    } else if (from.dtype == "F32") {
        convert(to, count, [data](std::int64_t i) { return load<float>(data, i); });
    } else if (from.dtype == "BF16") {
        convert(to, count, [data](std::int64_t i) { return from_bfloat16(load<std::uint16_t>(data, i)); });
    } else if (from.dtype == "F16") {
        convert(to, count, [data](std::int64_t i) { return from_float16(load<std::uint16_t>(data, i)); });
    } else {
        return false;
    }
    return true;
}

bool convert_integers(const StoredTensor& from, const std::string& name, std::int32_t* to, std::int64_t count) {
    const bool wide = from.dtype == "I64";
    if (!wide && from.dtype != "I32") return false;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t value = wide ? load<std::int64_t>(from.data, i) : load<std::int32_t>(from.data, i);
        if (value < std::numeric_limits<std::int32_t>::min() || value > std::numeric_limits<std::int32_t>::max())
            throw FileError(fmt::format("tensor '{}': element {} is {}, which does not fit 32 bits", name, i, value));
        to[i] = static_cast<std::int32_t>(value);
    }
    return true;
}

// ---- writing ------------------------------------------------------------------------------------------------------------------------

const char* stored_name(DType dtype) {
    switch (dtype) {
        case DType::float32: return "F32";
        case DType::float64: return "F64";
        case DType::bfloat16: return "BF16";
        case DType::int32: return "I32";
    }
    return "?";
}

std::string make_header(const std::vector<NamedTensor>& tensors, const std::map<std::string, std::string>& metadata) {
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    std::int64_t offset = 0;
    for (const NamedTensor& named : tensors) {
        LOCUS_CHECK(!header.contains(named.name), "write_safetensors", "the name '" + named.name + "' twice");
        LOCUS_CHECK(named.tensor.is_contiguous(), "write_safetensors", "'" + named.name + "' is not contiguous");
        nlohmann::ordered_json shape = nlohmann::ordered_json::array();
        for (int axis = 0; axis < named.tensor.shape.rank(); ++axis) shape.push_back(named.tensor.shape[axis]);
        header[named.name] = {{"dtype", stored_name(named.tensor.dtype)},
                              {"shape", shape},
                              {"data_offsets", {offset, offset + named.tensor.bytes()}}};
        offset += named.tensor.bytes();
    }
    std::string text = header.dump();
    while ((length_bytes + text.size()) % data_alignment != 0) text += ' ';
    return text;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const fs::path& path) : path_(path) {
    const Complaint complain(path_);
    Mapping file(path);
    const std::string_view header = header_of(file, complain);
    const json entries = parse_header(header, complain);
    const char* const data = header.data() + header.size();
    const std::size_t data_bytes = file.size - length_bytes - header.size();
    for (const auto& [name, entry] : entries.items()) {
        if (name != "__metadata__") {
            tensors_[name] = read_entry(name, entry, data, data_bytes, complain);
            continue;
        }
        if (!entry.is_object()) complain("__metadata__ must map text to text");
        for (const auto& [key, value] : entry.items()) {
            if (!value.is_string()) complain("__metadata__ must map text to text");
            metadata_[key] = value.get<std::string>();
        }
    }
    check_cover(tensors_, data, data_bytes, complain);
    map_ = std::exchange(file.data, nullptr);  // now ours to unmap
    size_ = file.size;
}

SafetensorsFile::~SafetensorsFile() { munmap(const_cast<char*>(map_), size_); }

const StoredTensor& SafetensorsFile::at(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw FileError(fmt::format("{}: there is no tensor '{}'", path_.string(), name));
    return found->second;
}

void copy_stored(const StoredTensor& from, const std::string& name, const Tensor& to) {
    LOCUS_CHECK(to.is_contiguous(), "copy_stored", "the destination of '" + name + "' is not contiguous");
    bool same = static_cast<int>(from.shape.size()) == to.shape.rank();
    for (int axis = 0; same && axis < to.shape.rank(); ++axis)
        same = from.shape[static_cast<std::size_t>(axis)] == to.shape[axis];
    if (!same)
        throw FileError(fmt::format("tensor '{}': is [{}] in the file, should be {}", name, fmt::join(from.shape, ", "),
                                    to.shape.to_string()));
    if (to.count() == 0) return;
    if (from.dtype == stored_name(to.dtype)) {
        std::memcpy(to.data, from.data, from.bytes);
        return;
    }
    bool converted = false;
    if (to.dtype == DType::float32) converted = convert_floating(from, to.as<float>(), to.count());
    if (to.dtype == DType::float64) converted = convert_floating(from, to.as<double>(), to.count());
    if (to.dtype == DType::int32) converted = convert_integers(from, name, to.as<std::int32_t>(), to.count());
    if (!converted)
        throw FileError(fmt::format("tensor '{}': {} cannot be converted to {}", name, from.dtype, name_of(to.dtype)));
}

void write_safetensors(const fs::path& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
    const std::string header = make_header(tensors, metadata);
    const std::uint64_t length = header.size();
    try {
        OutputFile file(path);
        file.write({reinterpret_cast<const char*>(&length), length_bytes});
        file.write(header);
        for (const NamedTensor& named : tensors) {
            const HostCopy here(named.tensor);
            file.write({static_cast<const char*>(here.tensor().data), static_cast<std::size_t>(here.tensor().bytes())});
        }
        file.finish();
    } catch (...) {
        unlink(path.c_str());
        throw;
    }
}

}  // namespace locus
