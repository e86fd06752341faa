#pragma once
// What the program says while it works: to the terminal, and with times to the run's log.txt.

#include <filesystem>
#include <string>

namespace locus {

/// One line to both. Lines said before a log file is open are written to it when it opens.
void log_line(const std::string& text);
/// The same, as a warning.
void log_warning(const std::string& text);
/// To log.txt only.
void log_quietly(const std::string& text);

/// While it lives, lines also go to `path`, appended.
class LogFile {
public:
    /// Throws std::system_error when the file cannot be opened.
    explicit LogFile(const std::filesystem::path& path);
    ~LogFile();
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;
};

/// Forgets the lines that wait for a log file.
void forget_waiting_lines();

}  // namespace locus
