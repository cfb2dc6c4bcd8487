#include <string>

#include "capi/handles.h"
#include "kernels/kernels.h"

namespace linnet {
namespace {

std::string& LastError() {
  thread_local std::string message;
  return message;
}

}  // namespace

linnet_status Report(const Error& error) {
  LastError() = error.message;
  return -static_cast<linnet_status>(error.code);
}

}  // namespace linnet

const char* linnet_last_error(void) { return linnet::LastError().c_str(); }

const char* linnet_version(void) {
  static const std::string version =
      linnet::StrCat(LINNET_VERSION_STRING, " (", linnet::BestKernels().target, ")");
  return version.c_str();
}
