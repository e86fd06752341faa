#include "train/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "data/file_descriptor.h"
#include "train/terminal.h"

namespace locus {
namespace {

constexpr std::size_t most_waiting_lines = 1000;
constexpr auto quiet = spdlog::level::debug;

std::string_view text_of(const spdlog::details::log_msg& message) {
    return {message.payload.data(), message.payload.size()};
}

class TerminalSink : public spdlog::sinks::base_sink<std::mutex> {
    void sink_it_(const spdlog::details::log_msg& message) override {
        if (message.level == quiet) return;
        const bool warning = message.level >= spdlog::level::warn;
        Terminal::standard().line((warning ? "warning: " : "") + std::string(text_of(message)), warning);
    }
    void flush_() override {}
};

// A log that cannot be written (a full disk) is no reason to stop: the checkpoint will say so.
class FileSink : public spdlog::sinks::base_sink<std::mutex> {
public:
    FileSink() {
        auto formatter = std::make_unique<spdlog::pattern_formatter>("%Y-%m-%d %H:%M:%S  %v");
        base_sink<std::mutex>::set_formatter_(std::move(formatter));
    }

    void open(const std::filesystem::path& path) {
        const std::lock_guard<std::mutex> lock(base_sink<std::mutex>::mutex_);
        file_.clear();
        file_.open(path, std::ios::binary | std::ios::app);
        if (!file_) throw_system_error("cannot open", path);
        for (const std::string& line : waiting_) file_ << line;
        file_.flush();
        waiting_.clear();
    }
    void close() {
        const std::lock_guard<std::mutex> lock(base_sink<std::mutex>::mutex_);
        file_.close();
    }
    void forget() {
        const std::lock_guard<std::mutex> lock(base_sink<std::mutex>::mutex_);
        waiting_.clear();
    }

private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t buffer;
        base_sink<std::mutex>::formatter_->format(message, buffer);
        std::string line(buffer.data(), buffer.size());
        if (message.level >= spdlog::level::warn) line.insert(line.find("  ") + 2, "warning: ");
        if (file_.is_open()) {
            file_.clear();
            file_ << line << std::flush;
        } else if (waiting_.size() < most_waiting_lines) {
            waiting_.push_back(line);
        }
    }
    void flush_() override {}

    std::ofstream file_;
    std::vector<std::string> waiting_;
};

const std::shared_ptr<FileSink>& file_sink() {
    static const auto sink = std::make_shared<FileSink>();
    return sink;
}

spdlog::logger& logger() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made = std::make_shared<spdlog::logger>(
            "locus", spdlog::sinks_init_list{std::make_shared<TerminalSink>(), file_sink()});
        made->set_level(quiet);
        return made;
    }();
    return *instance;
}

}  // namespace

void log_line(const std::string& text) { logger().info(text); }
void log_warning(const std::string& text) { logger().warn(text); }
void log_quietly(const std::string& text) { logger().debug(text); }
void forget_waiting_lines() { file_sink()->forget(); }

LogFile::LogFile(const std::filesystem::path& path) { file_sink()->open(path); }
LogFile::~LogFile() { file_sink()->close(); }

}  // namespace locus
