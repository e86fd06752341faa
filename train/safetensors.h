#pragma once
// The safetensors format: an 8-byte little-endian header length, a JSON header {name: {dtype, shape, data_offsets}}, the bytes.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "kernels/memory.h"
#include "kernels/tensor.h"

namespace locus {

/// A tensor in a file. dtype is the file's name for it: F64 F32 BF16 F16 I64 I32 ...
struct StoredTensor {
    std::string dtype;
    std::vector<std::int64_t> shape;
    const char* data = nullptr;
    std::size_t bytes = 0;
};

/// A safetensors file, mapped into memory read-only.
class SafetensorsFile {
public:
    /// Throws FileError naming the file and what is wrong: header too long, not JSON, unknown dtype, offsets outside the file, overlaps,
    /// size that does not fit the shape, truncated.
    explicit SafetensorsFile(const std::filesystem::path& path);
    ~SafetensorsFile();
    SafetensorsFile(const SafetensorsFile&) = delete;
    SafetensorsFile& operator=(const SafetensorsFile&) = delete;

    const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    /// Throws FileError when there is none of that name.
    const StoredTensor& at(const std::string& name) const;
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
    const char* map_ = nullptr;
    std::size_t size_ = 0;
    std::map<std::string, StoredTensor> tensors_;
    std::map<std::string, std::string> metadata_;
};

/// Copies a stored tensor into `to`, converting between floating-point types, or between integer types. Throws FileError when the shapes
/// differ or the types cannot be converted; `name` is for the message.
void copy_stored(const StoredTensor& from, const std::string& name, const Tensor& to);

struct NamedTensor {
    std::string name;
    Tensor tensor;  // contiguous
};

/// Writes a file: the same tensors give the same bytes. Data are aligned to 64 bytes. int64 output for int32 tensors is not made.
/// Throws std::system_error (disk full: the file is removed).
void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace locus
