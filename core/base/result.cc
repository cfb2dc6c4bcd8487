#include "base/result.h"

#include <cstdio>
#include <cstdlib>

#include "base/number.h"

namespace linnet {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kInvalid:
      return "invalid";
    case Code::kNotFound:
      return "not-found";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kData:
      return "data";
    case Code::kLimit:
      return "limit";
    case Code::kIo:
      return "io";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kVersion:
      return "version";
    case Code::kState:
      return "state";
    case Code::kPermission:
      return "permission";
    case Code::kInternal:
      return "internal";
  }
  return "unknown";
}

std::string StrCatDouble(double value) { return ShortestText(value); }

std::unexpected<Error> Annotate(const Error& error, std::string_view context) {
  return std::unexpected<Error>(Error{error.code, StrCat(context, ": ", error.message)});
}

void CheckFailed(const char* file, int line, const char* condition, std::string_view detail) {
  std::fprintf(stderr, "%s:%d: check failed: %s%s%.*s\n", file, line, condition,
               detail.empty() ? "" : ": ", static_cast<int>(detail.size()), detail.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace linnet
