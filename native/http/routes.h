// What stands at which path.
#ifndef LINNET_NATIVE_HTTP_ROUTES_H_
#define LINNET_NATIVE_HTTP_ROUTES_H_

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "fed/coordinator.h"
#include "native/transport/http_message.h"

namespace linnet {

// GET and HEAD:
//   /                       the page
//   /healthz                {"status": "ok"}, 503 when the federation cannot go on
//   /v1/status              StatusJson
//   /v1/federation          what participants may know of the federation file
//   /v1/models/DIGEST       canonical bytes, immutable: the last models and the best
// A name or type of file that is not there is 404, another method 405.
class Routes {
 public:
  // `coordinator` outlives this. `allowed_origins`: pages of other hosts that may read the answers.
  Routes(const Coordinator& coordinator, Federation federation, std::string page_folder,
         std::vector<std::string> allowed_origins);

  HttpResponse Answer(const HttpRequest& request);

 private:
  HttpResponse Dispatch(const HttpRequest& request);
  HttpResponse Model(const std::string& digest, const char* cache_control);
  // Takes up models that were committed since the last call.
  void KeepModels();

  const Coordinator& coordinator_;
  const Federation federation_;
  const std::string page_folder_;
  const std::vector<std::string> allowed_origins_;
  std::vector<std::pair<std::string, SharedBytes>> models_;  // hex digest; newest last, few
};

}  // namespace linnet

#endif  // LINNET_NATIVE_HTTP_ROUTES_H_
