// Errors as values. What can go wrong from outside comes back as Result<T>; what can only go wrong
// through our own mistake is CHECKed.
#ifndef LINNET_BASE_RESULT_H_
#define LINNET_BASE_RESULT_H_

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace linnet {

// Says what the caller may do about it.
enum class Code : int {
  kInvalid = 1,  // the input is wrong and stays wrong: fix it
  kNotFound,     // a file, key or name that is not there
  kUnsupported,  // understood, but not offered
  kData,         // bytes that do not decode, values that are not finite
  kLimit,        // more than a stated limit admits
  kIo,           // the operating system refused; the message has its words
  kUnavailable,  // try again later
  kVersion,      // the other side speaks another version
  kState,        // not possible now (wrong order, round is over)
  kPermission,   // credentials are missing or wrong
  kInternal,     // a plugin or device failed; nothing was changed
};

// The name of a code as it appears in messages and on the wire: "invalid", "not-found", ...
std::string_view CodeName(Code code);

// `message` lets a stranger fix it: what was found, what was wanted.
struct Error {
  Code code = Code::kInternal;
  std::string message;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

// Concatenates strings, characters and numbers (std::format is missing in libstdc++ 12).
std::string StrCatDouble(double value);
namespace internal {
inline void Append(std::string& out, std::string_view s) { out += s; }
inline void Append(std::string& out, const char* s) { out += s; }
inline void Append(std::string& out, const std::string& s) { out += s; }
inline void Append(std::string& out, char c) { out += c; }
inline void Append(std::string& out, bool b) { out += b ? "true" : "false"; }
inline void Append(std::string& out, float v) { out += StrCatDouble(v); }
inline void Append(std::string& out, double v) { out += StrCatDouble(v); }
template <typename T>
  requires std::is_integral_v<T>
void Append(std::string& out, T v) {
  out += std::to_string(v);
}
}  // namespace internal

template <typename... Args>
std::string StrCat(const Args&... args) {
  std::string out;
  (internal::Append(out, args), ...);
  return out;
}

// `return Fail(Code::kInvalid, "port ", port, " is not in 1..65535");`
template <typename... Args>
std::unexpected<Error> Fail(Code code, const Args&... args) {
  return std::unexpected<Error>(Error{code, StrCat(args...)});
}

// Puts "context: " before the message of an error that passes through.
std::unexpected<Error> Annotate(const Error& error, std::string_view context);

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              std::string_view detail);

}  // namespace linnet

// Always on: a failed check is our own bug, and a wrong model would be worse than a dead process.
#define LINNET_CHECK(condition)                                  \
  do {                                                           \
    if (!(condition)) [[unlikely]]                               \
      ::linnet::CheckFailed(__FILE__, __LINE__, #condition, {}); \
  } while (0)
#define LINNET_CHECK_MSG(condition, ...)                                                    \
  do {                                                                                      \
    if (!(condition)) [[unlikely]]                                                          \
      ::linnet::CheckFailed(__FILE__, __LINE__, #condition, ::linnet::StrCat(__VA_ARGS__)); \
  } while (0)

#define LINNET_CONCAT_INNER_(a, b) a##b
#define LINNET_CONCAT_(a, b) LINNET_CONCAT_INNER_(a, b)
// LINNET_TRY(auto model, LoadModel(bytes)); returns the error to the caller or declares `model`.
#define LINNET_TRY(declaration, expression) \
  LINNET_TRY_IMPL_(LINNET_CONCAT_(linnet_result_, __LINE__), declaration, expression)
#define LINNET_TRY_IMPL_(result, declaration, expression)                          \
  auto result = (expression);                                                      \
  if (!result) return std::unexpected<::linnet::Error>(std::move(result.error())); \
  declaration = std::move(*result)
// For a Status.
#define LINNET_TRY_STATUS(expression)                                             \
  do {                                                                            \
    auto linnet_status_ = (expression);                                           \
    if (!linnet_status_)                                                          \
      return std::unexpected<::linnet::Error>(std::move(linnet_status_.error())); \
  } while (0)

#endif  // LINNET_BASE_RESULT_H_
