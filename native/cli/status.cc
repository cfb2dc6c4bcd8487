// linnet status: what a coordinator says of itself.
#include <chrono>
#include <cmath>
#include <thread>

#include "base/json.h"
#include "native/cli/command_line.h"
#include "native/cli/output.h"
#include "native/http/address.h"
#include "native/transport/http_client.h"

namespace linnet {
namespace {

double Number(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  return value != nullptr && value->is_number() ? value->as_double() : std::nan("");
}
uint64_t Count(const Json& object, std::string_view key) {
  const double value = Number(object, key);
  return value >= 0 ? uint64_t(value) : 0;
}
std::string Text(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

void Print(Output& output, const Json& status) {
  double accuracy = std::nan("");
  if (const Json* history = status.Find("history"); history != nullptr && history->is_array()) {
    for (const Json& round : history->as_array()) {
      const double value = Number(round, "accuracy");
      if (!std::isnan(value)) accuracy = value;
    }
  }
  output.Line(StrCat(output.Bold(Text(status, "federation")), ": ", Text(status, "phase"),
                     ", round ", Count(status, "round"), " of ", Count(status, "maxRounds"),
                     ", accuracy ", Percent(accuracy)));
  output.Line(StrCat("  ", Count(status, "connected"), " connected, ", Count(status, "received"),
                     " of ", Count(status, "invited"), " updates of the open round"));
  output.Line(StrCat("  up ", HumanBytes(Count(status, "uplinkBytes")), ", down ",
                     HumanBytes(Count(status, "downlinkBytes")), ", model ",
                     Text(status, "model").substr(0, 16), " (",
                     HumanBytes(Count(status, "modelBytes")), ")"));
}

}  // namespace

Result<int> Run(const StatusCommand& command) {
  Output output(command.json);
  LINNET_TRY(const Address address, ParseAddress(command.address));
  if (!address.scheme.empty() && address.scheme != "http") {
    return Fail(Code::kInvalid, "\"", command.address, "\" begins with ", address.scheme,
                "://, wanted is http://");
  }
  for (;;) {
    const HttpResponse answer = HttpGet(address.host, address.port, "/v1/status");
    if (answer.status != 200) {
      return Fail(Code::kUnavailable, "no coordinator answers at ", address.HostPort(), ": ",
                  answer.status == 0 ? answer.body : StrCat("HTTP ", answer.status));
    }
    auto status = Json::Parse(answer.body);
    if (!status || status->Find("federation") == nullptr) {
      return Fail(Code::kData, address.HostPort(), " answers, but is no coordinator of Linnet");
    }
    output.Object(*status);
    Print(output, *status);
    if (!command.watch) return kExitGood;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace linnet
