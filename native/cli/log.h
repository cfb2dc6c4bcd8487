// The log of a long-running command, on stderr: the home of spdlog.
#ifndef LINNET_NATIVE_CLI_LOG_H_
#define LINNET_NATIVE_CLI_LOG_H_

#include <string_view>

namespace linnet {

// At most 50 lines a second get through; what was left out is counted in the next line. Control
// characters are replaced.
void LogInfo(std::string_view text);
void LogWarning(std::string_view text);
void LogError(std::string_view text);
// A line of a strategy, at its level: 0 debug (not shown), 1 information, 2 warning, 3 error.
void LogStrategy(uint32_t level, std::string_view line);

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_LOG_H_
