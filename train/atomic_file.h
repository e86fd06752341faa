#pragma once
// Files, folders and links that change in one go: made beside, synced to the disk, renamed, the parent synced. Every failure is a
// std::system_error with errno and the path.

#include <filesystem>
#include <string_view>

namespace locus {

/// Writes and syncs `path`; a failure leaves no file.
void write_file(const std::filesystem::path& path, std::string_view text);
/// The same, but an older file of that name stays until the new one is whole.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// Syncs every file in `folder`, and the folder.
void sync_files(const std::filesystem::path& folder);

/// Puts the folder `from` in the place of `to`, which may exist and is then removed; a crash leaves the one or the other.
void replace_folder(const std::filesystem::path& from, const std::filesystem::path& to);
/// Points the symbolic link `link` to `target` (taken literally, so a relative one stays relative).
void replace_link(const std::filesystem::path& target, const std::filesystem::path& link);

}  // namespace locus
