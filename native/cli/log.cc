#include "native/cli/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <mutex>
#include <string>

#include "base/result.h"

namespace linnet {
namespace {

constexpr int kLinesPerSecond = 50;

class Log {
 public:
  void Write(spdlog::level::level_enum level, std::string_view text) {
    const std::lock_guard lock(mutex_);
    const auto second = std::chrono::duration_cast<std::chrono::seconds>(
        std::chrono::steady_clock::now().time_since_epoch());
    if (second != second_) {
      second_ = second;
      lines_ = 0;
      if (omitted_ > 0) logger_->warn("{} more lines were left out", omitted_);
      omitted_ = 0;
    }
    if (++lines_ > kLinesPerSecond) {
      ++omitted_;
      return;
    }
    std::string plain(text);
    for (char& c : plain) {
      if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
    }
    logger_->log(level, plain);
    logger_->flush();
  }

  static Log& Get() {
    static Log log;
    return log;
  }

 private:
  Log() { logger_->set_pattern("%H:%M:%S %^%l%$ %v"); }

  std::mutex mutex_;
  std::shared_ptr<spdlog::logger> logger_ = std::make_shared<spdlog::logger>(
      "linnet", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  std::chrono::seconds second_{};
  int lines_ = 0, omitted_ = 0;
};

}  // namespace

void LogInfo(std::string_view text) { Log::Get().Write(spdlog::level::info, text); }
void LogWarning(std::string_view text) { Log::Get().Write(spdlog::level::warn, text); }
void LogError(std::string_view text) { Log::Get().Write(spdlog::level::err, text); }
void LogStrategy(uint32_t level, std::string_view line) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                   spdlog::level::warn, spdlog::level::err};
  Log::Get().Write(kLevels[level < 4 ? level : 3], StrCat("strategy: ", line));
}

}  // namespace linnet
