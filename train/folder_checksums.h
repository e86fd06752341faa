#pragma once
// The checksums of a checkpoint's files, as trainer.json keeps them: for safetensors files one per tensor and one of the header, so that
// damage can be named; for all others one of the file.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace locus {

/// {file: {"bytes": n, "checksum": hex}} or, for .safetensors, {"bytes", "header": hex, "tensors": {name: hex}}.
nlohmann::json folder_checksums(const std::filesystem::path& folder);

/// Compares the files of `folder` with `expected`, leaving out those in `without`. Throws FileError naming file and tensor.
void verify_folder(const std::filesystem::path& folder, const nlohmann::json& expected,
                   const std::set<std::string>& without = {});

}  // namespace locus
